/* The wall clock of Python code in one process, moved by as many seconds as stand in the file CLOCK_SHIM_FILE.

   The monotonic clock stays as it is: only deadlines that wrongly use the wall clock notice. Native libraries keep their
   time: they hand wall-clock times to the kernel, whose clock is not moved, and would wait for an hour. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int is_python(const void *caller) {
    Dl_info info;
    if (!dladdr(caller, &info) || !info.dli_fname) return 0;
    const char *slash = strrchr(info.dli_fname, '/');
    const char *name = slash ? slash + 1 : info.dli_fname;
    return !strncmp(name, "python", 6) || !strncmp(name, "libpython", 9) || !strncmp(name, "_datetime", 9);
}

static long offset_s(const void *caller) {
    char text[32] = {0};
    const char *path = getenv("CLOCK_SHIM_FILE");
    if (!path || !is_python(caller)) return 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 ? strtol(text, NULL, 10) : 0;
}

static int real(clockid_t id, struct timespec *at) {
    static int (*found)(clockid_t, struct timespec *);
    if (!found) found = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return found(id, at);
}

int clock_gettime(clockid_t id, struct timespec *at) {
    int code = real(id, at);
    if (code == 0 && id == CLOCK_REALTIME) at->tv_sec += offset_s(__builtin_return_address(0));
    return code;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    int code = real(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec + offset_s(__builtin_return_address(0));
    at->tv_usec = now.tv_nsec / 1000;
    return code;
}

time_t time(time_t *at) {
    struct timespec now;
    real(CLOCK_REALTIME, &now);
    now.tv_sec += offset_s(__builtin_return_address(0));
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
