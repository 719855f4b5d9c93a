import pytest

from worker.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TTS_DEVICE", "gpu"),
        ("TTS_BACKEND", "espeak"),
        ("LLM_PROVIDER", "llama"),
        ("METRICS_PORT", "99999"),
        ("TTS_MAX_BATCH_SIZE", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("OPENAI_BASE_URL", "localhost:1234"),
    ],
)
def test_a_wrong_value_names_variable_and_value(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings()
    assert str(caught.value).startswith(f"{name} is ")
    assert value in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_come_from_a_dotenv_file(tmp_path):
    (tmp_path / ".env").write_text("TTS_DEVICE=cuda:1\n")
    assert Settings().tts_device == "cuda:1"


def test_secrets_are_not_shown(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "very-secret")
    assert "very-secret" not in repr(Settings())


@pytest.mark.parametrize(
    ("env", "provider"),
    [
        ({}, "embedded"),
        ({"ANTHROPIC_API_KEY": "a"}, "anthropic"),
        ({"OPENAI_API_KEY": "a"}, "openai"),
        ({"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}, "anthropic"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "local"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "b"}, "local"),
        ({"ANTHROPIC_API_KEY": "a", "LLM_PROVIDER": "embedded"}, "embedded"),
    ],
)
def test_auto_takes_the_first_provider_that_is_configured(monkeypatch, env, provider):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert Settings().llm == provider


def test_worker_urls_are_split(monkeypatch):
    monkeypatch.setenv("WORKER_URLS", "http://a:1/, http://b:2")
    assert Settings().worker_addresses == ("http://a:1", "http://b:2")


@pytest.mark.parametrize("name", ["TTS_MAX_BATCH_SIZE", "MAX_CALLS"])
def test_auto_is_a_value_of_the_counts(monkeypatch, name):
    monkeypatch.setenv(name, "auto")
    assert getattr(Settings(), name.lower()) is None


def test_the_drain_time_is_not_shorter_than_a_call(monkeypatch):
    monkeypatch.setenv("MAX_CALL_S", "100")
    monkeypatch.setenv("DRAIN_TIMEOUT", "50")
    with pytest.raises(SettingsError, match="DRAIN_TIMEOUT"):
        Settings()
