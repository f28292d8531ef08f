#!/usr/bin/env python3
"""Signs a Pod or Deployment in the template form of docs/signature-format.md:

    examples/sign.py signing.key < pod.json > signed.json

A signer in another language than podsign's, kept short: it takes JSON manifests whose pods have no fields but those
below, images by digest, and no default spelled out, and refuses all others. Needs Python 3.8 and openssl.
"""
import base64, json, re, subprocess, sys

OURS, KUBECTL = "kubelet-proxy.io/", "kubectl.kubernetes.io/last-applied-configuration"

# What a value may be: a test, a list of what its items may be, or an object of the fields that it may have.
pattern = lambda regex: lambda value: type(value) is str and re.fullmatch(regex, value, re.S)
text, any_text, boolean = pattern(".+"), pattern(".*"), lambda value: type(value) is bool
name = pattern("(?!kube-api-access-)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
amount = pattern("[1-9][0-9]{0,2}([mkMGT]|[KMGT]i)?")
pod_spec = {
    "containers": [{
        "name": name, "image": pattern("[a-z0-9./:_-]+@sha256:[0-9a-f]{64}"), "command": [any_text], "args": [any_text],
        "env": [{"name": text, "value": text}],
        "ports": [{"name": name, "containerPort": lambda value: type(value) is int and 0 < value < 65536}],
        "resources": {"limits": {"cpu": amount, "memory": amount}}, "volumeMounts": [{"name": name, "mountPath": text}],
    }],
    "volumes": [{"name": name, "configMap": {"name": text}, "secret": {"secretName": text}}],
    "automountServiceAccountToken": boolean, "enableServiceLinks": lambda value: value is False,
}
label_value = pattern("([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def refuse(what):
    sys.exit(f"sign.py: {what}; use podsign")


def check(value, form, path):
    if callable(form):
        fits = form(value)
    else:  # Kubernetes takes empty lists, and most empty objects, for absent.
        fits = type(value) is type(form) and len(value) > 0
        for key, part in (enumerate(value) if type(value) is list else value.items()) if fits else []:
            check(part, form[0] if type(form) is list else form.get(key, lambda _: False), f"{path}.{key}")
    if not fits:
        refuse(f"{path} is missing, not known here, a default, or not in minimal form")
    return value


def unique(members):
    return dict(members) if len(dict(members)) == len(members) else refuse("a member is there twice")


def texts(field, form):
    found = {key: check(value, form, f"{field}.{key}") for key, value in (metadata.get(field) or {}).items()}
    if any(key.startswith("kubernetes.io/config.") or not key.isascii() for key in found):
        refuse(f"{field} have a key that cannot be signed")
    return {key: value for key, value in found.items() if not key.startswith(OURS) and key != KUBECTL}


manifest = json.load(sys.stdin.buffer, object_pairs_hook=unique)
workload = {field: manifest.get(field) for field in ("apiVersion", "kind")}
if workload not in ({"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "apps/v1", "kind": "Deployment"}):
    refuse("it is neither a Pod nor a Deployment")
for field in {"name", "namespace"} & manifest["metadata"].keys() | {"name"}:
    workload[field] = check(manifest["metadata"].get(field), name, f"metadata.{field}")
pod = manifest if workload["kind"] == "Pod" else manifest["spec"]["template"]
spec, metadata = check(pod["spec"], pod_spec, "spec"), pod.setdefault("metadata", {})
for field in ("containers", "volumes"):
    names = [check(item.get("name"), name, f"{field}.name") for item in spec.get(field, [])]
    if len(set(names)) < len(names) or "containers" not in spec:
        refuse("a container is missing, or a name is there twice")
template = {"apiVersion": "kubelet-proxy.io/v1", "kind": "SignedTemplate", "workload": workload, "spec": spec,
            "metadata": {"labels": texts("labels", label_value), "annotations": texts("annotations", any_text)}}
# Canonical JSON (RFC 8785): all names are ASCII, which sorts alike in any encoding, and all numbers are integers.
signed = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
command = ["openssl", "dgst", "-sha256", "-sign", sys.argv[1]]
signature = subprocess.run(command, input=signed.encode(), stdout=subprocess.PIPE, check=True).stdout
metadata["annotations"] = {**(metadata.get("annotations") or {}), OURS + "signed-template": signed,
                           OURS + "signature": base64.b64encode(signature).decode()}
print(json.dumps(manifest, indent=2))
