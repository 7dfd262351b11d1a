"""Checks host.json, function/ and infra/; a line of output is a finding. Run by infra/lint, which has the tools."""

import json
import re
import sys
from pathlib import Path

from pycep import BicepParser

# checkov's checks that do not fit, each with its reason. One that no longer fires is a finding too.
SKIPS = {
    "CKV_AZURE_14": "OCSP and CRLs must be served over plain HTTP; the publisher's app has httpsOnly, by parameter",
    "CKV_AZURE_153": "the same check for slots, which Flex Consumption does not have",
    "CKV_AZURE_17": "relying parties have no client certificates",
    "CKV_AZURE_35": "no virtual network here: access is by Entra identity, and the shelf is public",
    "CKV_AZURE_59": "the shelf is public; every other account says false, by parameter",
    "CKV_AZURE_78": "Flex Consumption has no FTP; passwords for it are off all the same",
    "CKV_AZURE_109": "no virtual network here: access is by Entra identity",
    "CKV_AZURE_189": "as above",
    "CKV_AZURE_206": "redundancy is a parameter, ZRS by default",
    "CKV_AZURE_212": "instances are set in functionAppConfig, which the check does not know",
    "CKV_AZURE_213": "Flex Consumption ignores health check paths",
    "CKV_AZURE_222": "relying parties are on the internet",
    "CKV_AZURE_225": "Flex plans cannot be zone redundant everywhere; storage is",
}

# All that the responder may be granted: built-in roles, each with the scope it is meant for, and harmless data actions.
# It is a list of what may be, so that a role nobody thought of is a finding.
RESPONDER_ROLES = {
    "76199698-9eea-4c19-bc75-cec21354c6b6": "index",  # Storage Table Data Reader
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "crl state",  # Storage Blob Data Reader
    "4633458b-17de-408a-b874-0445c86b69e6": "secrets",  # Key Vault Secrets User
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "host",  # Storage Blob Data Owner
    "3913510d-42f4-4e42-8a64-420c390055eb": "insights",  # Monitoring Metrics Publisher
}
RESPONDER_ACTIONS = {"Microsoft.KeyVault/vaults/certificates/read"}
SIGN = "Microsoft.KeyVault/vaults/keys/sign/action"
RESPONDER, PUBLISHER = "responderIdentity", "publisherIdentity"

findings = []


def check(holds, where, what):
    if not holds:
        findings.append(f"{where}: {what}")
    return holds


def load(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        check(False, path, error)
        return {}


# --- The Functions host's rules -----------------------------------------------------------------------------------


def check_host(path):
    host = load(path)
    handler = host.get("customHandler", {})
    description = handler.get("description", {})
    check(host.get("version") == "2.0", path, 'version must be "2.0"')
    known = {"description", "enableForwardingHttpRequest", "enableProxyingHttpRequest", "http", "port"}
    check(set(handler) <= known, path, f"customHandler knows no {set(handler) - known}")
    for mode in ("enableForwardingHttpRequest", "enableProxyingHttpRequest"):
        check(handler.get(mode) is True, path, f"{mode} must be true, or request bodies are damaged")
    check("routes" not in handler.get("http", {}), path, "with function.json, customHandler.http.routes stops the host")
    check(description.get("defaultExecutablePath") == "rescind", path, "defaultExecutablePath must be the zip's entry")
    check(description.get("arguments") == ["serve"], path, "arguments must be serve; they are joined without quotes")
    check(host.get("extensions", {}).get("http", {}).get("routePrefix") == "", path, "routePrefix must be empty")
    check("extensionBundle" not in host, path, "timer and http need no extensionBundle")
    timeout = host.get("functionTimeout", "")
    check(re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d", timeout), path, "functionTimeout must be HH:MM:SS")
    levels = host.get("logging", {}).get("logLevel", {})
    for category in ("Host.Function.Console", "Host.Results"):
        check(levels.get(category) == "Information", path, f"alerts read {category}, at Information")
    sampling = host.get("logging", {}).get("applicationInsights", {}).get("samplingSettings", {})
    check("Trace" in sampling.get("excludedTypes", ""), path, "sampling must not drop the traces that alerts read")


def check_functions(folder):
    proxied = [("http", "out"), ("httpTrigger", "in")]
    routes, envelopes = {}, set()
    for function in sorted(folder.iterdir()):
        name, path = function.name, function / "function.json"
        check(re.fullmatch(r"[a-z][a-z0-9_\-]{0,127}", name) and name != "host", path, "not a function's name")
        # The setting that disables it could not be made on Linux.
        check("-" not in name, path, "a name with a hyphen cannot be disabled")
        if not path.is_file():
            check(False, path, "is missing")
            continue
        definition = load(path)
        bindings = definition.get("bindings", [])
        for binding in bindings:
            check(re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", binding.get("name", "")), path, "not a binding's name")
        kinds = sorted((binding.get("type"), binding.get("direction")) for binding in bindings)
        if kinds == [("timerTrigger", "in")]:
            envelopes.add(name)
            check_timer(path, definition, bindings[0])
        elif check(kinds == proxied, path, "needs one httpTrigger in and one http out, or requests are not forwarded"):
            trigger = next(binding for binding in bindings if binding["type"] == "httpTrigger")
            route = check_http(path, trigger)
            check(route not in routes, path, f"route {route} is that of {routes.get(route)}, too")
            routes[route] = name
            level = "function" if name == "api" else "anonymous"
            check(trigger.get("authLevel") == level, path, f"authLevel must be {level}")
    for route, name in routes.items():
        # The host posts a timer's envelope to /<function>: no public path may lead there.
        check(route.split("/")[0].lower() not in envelopes, name, f"route {route} exposes an envelope")
    return set(routes.values()) | envelopes


def check_http(path, trigger):
    route = trigger.get("route", "")
    first = route.split("/")[0]
    check(first and "{" not in first, path, "a catch-all at the root would expose the timer's envelope")
    check(not first.lower().startswith(("admin", "runtime")), path, "the host refuses routes of admin and runtime")
    methods = trigger.get("methods", [])
    check(methods and set(methods) <= {"get", "head", "post"}, path, "methods must be some of get, head, post")
    return route


def check_timer(path, definition, trigger):
    check(re.fullmatch(r"%[A-Z_]+%", trigger.get("schedule", "")), path, "the schedule must come from an app setting")
    check(not trigger.get("runOnStartup"), path, "runOnStartup would publish at every scale-out")
    retry = definition.get("retry", {})
    needed = {"fixedDelay": {"delayInterval"}, "exponentialBackoff": {"minimumInterval", "maximumInterval"}}
    fields = needed.get(retry.get("strategy"), set()) | {"strategy", "maxRetryCount"}
    check(set(retry) == fields, path, f"retry must have {sorted(fields)}, or the function does not load")


# --- Bicep: names of properties -----------------------------------------------------------------------------------


def unwrap(config):
    """A resource's body without loop and condition."""
    while isinstance(config, dict) and "config" in config and ("loop_type" in config or "condition" in config):
        config = config["config"]
    return config


def check_names(where, value, schema):
    value = unwrap(value)
    if isinstance(value, list):
        for item in value:
            check_names(where, item, schema)
    elif isinstance(value, dict) and set(value) == {"operator"}:
        if value["operator"]["type"] == "conditional":
            check_names(where, value["operator"]["operands"]["true_value"], schema)
            check_names(where, value["operator"]["operands"]["false_value"], schema)
    elif isinstance(value, dict) and set(value) == {"function"}:
        pass
    elif isinstance(value, dict) and schema != "*":
        known = {} if schema == "" else {name.rstrip("!"): inner for name, inner in schema.items()}
        for name, inner in value.items():
            if check(name in known, where, f"there is no property {name}"):
                check_names(f"{where}.{name}", inner, known[name])
        for name in ({} if schema == "" else schema):
            check(not name.endswith("!") or name[:-1] in value, where, f"{name[:-1]} is missing")


def check_properties(trees, path):
    schemas, used = load(path), set()
    for file, tree in trees.items():
        for symbol, resource in tree.get("resources", {}).items():
            kind = f"{resource['type']}@{resource['api_version']}"
            where = f"{file}: {symbol}"
            used.add(kind)
            body = dict(unwrap(resource["config"]))
            check("name" in body, where, "name is missing")
            check("__child_resource__" not in body, where, "write children with parent: the parser loses all but one")
            for name in ("name", "parent", "scope", "dependsOn"):
                body.pop(name, None)
            if check(kind in schemas, where, f"{kind} is not in {path.name}") and not resource["existing"]:
                check_names(where, body, schemas[kind])
    check(set(schemas) <= used, path, f"not used: {sorted(set(schemas) - used)}")


# --- Bicep: who may do what ---------------------------------------------------------------------------------------


def identities(trees, file, value, seen=()):
    """The symbols that an expression of a principal comes from, followed through variables, loops and modules."""
    if isinstance(value, list):
        return {found for item in value for found in identities(trees, file, item, seen)}
    if isinstance(value, dict):
        operator = value.get("operator", {})
        if operator.get("type") == "property_accessor":
            return identities(trees, file, operator["operands"]["operand_1"], seen)
        return {found for item in value.values() for found in identities(trees, file, item, seen)}
    tree = trees[file]
    if not isinstance(value, str) or (file, value) in seen:
        return set()
    seen = (*seen, (file, value))
    if value in tree.get("variables", {}):
        return identities(trees, file, tree["variables"][value]["value"], seen)
    resource = tree.get("resources", {}).get(value)
    if resource:
        return identities(trees, file, unwrap(resource["config"])["name"], seen) if resource["existing"] else {value}
    for resource in tree.get("resources", {}).values():
        loop = resource["config"].get("loop_type", {}).get("detail", {})
        if loop.get("item_name") == value:
            return identities(trees, file, loop["array_name"], seen)
    if value in tree.get("parameters", {}):
        found = set()
        for caller, other in trees.items():
            for module in other.get("modules", {}).values():
                if (caller.parent / module["detail"]["path"]).resolve() == file.resolve():
                    found |= identities(trees, caller, unwrap(module["config"])["params"].get(value, ""), seen)
        return found
    return {value}


def check_roles(trees):
    signers, grants = set(), 0
    for file, tree in trees.items():
        for symbol, resource in tree.get("resources", {}).items():
            if resource["type"] != "Microsoft.Authorization/roleAssignments":
                continue
            where, body = f"{file}: {symbol}", unwrap(resource["config"])
            who = identities(trees, file, body["properties"]["principalId"])
            scope = body.get("scope")
            if isinstance(scope, dict):  # secrets[at]
                scope = scope["operator"]["operands"]["operand_1"]
            role, actions = role_of(tree, body["properties"]["roleDefinitionId"])
            check(role or actions, where, "the role cannot be made out")
            if SIGN in actions:
                signers |= who
            if RESPONDER in who:
                grants += 1
                if actions:
                    check(set(actions) <= RESPONDER_ACTIONS, where, f"the responder must not have {actions}")
                else:
                    allowed = RESPONDER_ROLES.get(role, "").split()
                    check(scope in allowed, where, f"the responder must not have role {role} on {scope}")
    check(signers == {PUBLISHER}, "roles", f"the publisher alone must sign, not {sorted(signers)}")
    check(grants >= len(RESPONDER_ROLES), "roles", "the responder's roles were not found: is the check blind?")


def role_of(tree, value):
    """A built-in role's id, or the actions of a role that is defined in the same file."""
    if "function" in value:
        name = value["function"]["parameters"]["resource_name_1"]
        return tree.get("variables", {}).get(name, {}).get("value", name), []
    symbol = value["operator"]["operands"]["operand_1"]
    role = tree["resources"].get(symbol, {}).get("config", {}).get("properties", {})
    return None, [action for grant in role.get("permissions", []) for kind in grant.values() for action in kind]


# --- What must agree with the product -----------------------------------------------------------------------------


def check_agreement(root, trees, functions):
    source = "".join(path.read_text() for path in (root / "src").rglob("*.rs"))
    for file, tree in trees.items():
        variables = tree.get("variables", {})
        for event in variables.get("events", {}).get("value", []):
            check(f'"{event["message"]}"' in source, file, f"nothing in src/ logs {event['message']!r}")
        if "packaged" in variables:
            check(set(variables["packaged"]["value"]) == functions, file, "packaged must name the folders of function/")
        text = re.sub(r"//.*|@description.*", "", file.read_text())
        for name in re.findall(r"\bRESCIND__(\w+(?:\$\{at\}\w+)?)", text):
            key = re.sub(r"\$\{at\}__", "", name).lower().replace("__", ".")
            if not key.endswith("."):
                check(f'"{key}"' in source, file, f"rescind knows no setting {key}")


# --- checkov ------------------------------------------------------------------------------------------------------


def check_security(folder):
    parse = BicepParser.parse

    # checkov was written for an older parser, which gave types as words.
    def parse_as_before(self, *arguments, **options):
        tree = parse(self, *arguments, **options)
        for entry in (*tree.get("parameters", {}).values(), *tree.get("outputs", {}).values()):
            entry["type"] = entry["type"] if isinstance(entry["type"], str) else "array"
        return tree

    BicepParser.parse = parse_as_before
    import checkov.arm.runner  # noqa: F401  most checks are written for ARM; importing it makes them known to Bicep
    from checkov.bicep.runner import Runner
    from checkov.runner_filter import RunnerFilter

    report = Runner().run(root_folder=str(folder), runner_filter=RunnerFilter(framework=["bicep"]))
    report = report[0] if isinstance(report, list) else report
    check(not report.parsing_errors, "checkov", f"cannot read {report.parsing_errors}")
    check(len(report.passed_checks) > 15, "checkov", "hardly any check was made")
    fired = {record.check_id for record in report.failed_checks}
    for record in report.failed_checks:
        where = f"infra{record.file_path}: {record.resource}"
        check(record.check_id in SKIPS, where, f"{record.check_id} {record.check_name}")
    for skip in sorted(set(SKIPS) - fired):
        check(False, "checkov", f"{skip} is skipped but would pass")


def main():
    root = Path(sys.argv[1]).resolve()
    check_host(root / "host.json")
    functions = check_functions(root / "function")
    trees, files = {}, sorted((root / "infra").rglob("*.bicep"))
    for file in files:
        try:
            trees[file] = BicepParser().parse(text=file.read_text())
        except Exception as error:  # the parser has many kinds
            check(False, file, " ".join(str(error).split("\n")[:1]))
    check(len(files) > 5, root / "infra", "where are the .bicep files?")
    if len(trees) == len(files):  # the rest follows names from file to file
        check_properties(trees, root / "infra/properties.json")
        check_roles(trees)
        check_agreement(root, trees, functions)
        check_security(root / "infra")
    for finding in findings:
        print(finding.replace(f"{root}/", ""))
    print(f"infra/lint: {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


sys.exit(main())
