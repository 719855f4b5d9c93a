"""What dashboards ask Prometheus, in a word each. `$namespace`, `$pod` and `$__rate_interval` are Grafana's."""

from __future__ import annotations

ALL = '{namespace=~"$namespace",pod=~"$pod"}'
RATE = "[$__rate_interval]"


def pick(labels: str = "") -> str:
    """The chosen pods, and `labels` too."""
    return f'{{namespace=~"$namespace",pod=~"$pod"{"," if labels else ""}{labels}}}'


def per_second(name: str, labels: str = "", by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({name}{pick(labels)}{RATE}))"


def quantile(q: float, name: str, labels: str = "", by: str = "") -> str:
    return f"histogram_quantile({q}, {per_second(f'{name}_bucket', labels, f'le,{by}' if by else 'le')})"


def share_within(name: str, seconds: str, labels: str = "") -> str:
    """Part of the observations that took at most `seconds`, a bucket's edge."""
    within = per_second(f"{name}_bucket", f'le="{seconds}"{"," if labels else ""}{labels}')
    return f"{within} / {per_second(f'{name}_count', labels)}"


def quantiles(name: str, labels: str = "") -> dict[str, str]:
    return {f"p{int(q * 100)}": quantile(q, name, labels) for q in (0.5, 0.95, 0.99)}
