"""What the Prometheus operator's kinds may hold, as far as they are used here.

kubernetes-validate knows no custom resources; this is strict about the few fields that there are.
"""

from typing import Any


def _strict(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_NAMED = _strict(name=_TEXT, namespace=_TEXT)
_RULE = _strict(alert=_TEXT, expr=_TEXT) | {"required": ["expr"]}
_RULE["properties"] |= {
    "record": _TEXT, "for": _TEXT, "keep_firing_for": _TEXT, "labels": _TEXTS, "annotations": _TEXTS,
}  # fmt: skip
_GROUP = _strict(name=_TEXT, rules={"type": "array", "items": _RULE, "minItems": 1})
_GROUP["properties"] |= {"interval": _TEXT, "labels": _TEXTS}

SCHEMAS = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _strict(
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata=_NAMED,
        spec=_strict(
            selector=_strict(matchLabels=_TEXTS),
            endpoints={
                "type": "array",
                "items": _strict(port=_TEXT, path=_TEXT, interval={"type": "string", "pattern": r"^\d+s$"}),
            },
        ),
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _strict(
        apiVersion=_TEXT,
        kind=_TEXT,
        metadata=_NAMED,
        spec=_strict(groups={"type": "array", "items": _GROUP}),
    ),
}
