//! Checks of manifests for what schemas miss and an API server, or a controller, refuses.

use std::collections::BTreeSet;

use serde_json::Value;

/// Returns a sentence for each problem.
pub(super) fn problems(objects: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    for object in objects {
        let name = text(&object["metadata"]["name"]);
        let is_set = object["kind"] == "StatefulSet";
        // The pods of a stateful set have a label with its name and a hash of ten characters.
        let most = if is_set { 52 } else { 63 };
        if !is_dns_label(name, most) {
            problems.push(format!("`{name}` is no name with at most {most} characters"));
        }
        labels(&object["metadata"]["labels"], &mut problems);
        let template = &object["spec"]["template"];
        if template.is_object() {
            labels(&template["metadata"]["labels"], &mut problems);
            let selector = &object["spec"]["selector"]["matchLabels"];
            if is_set && !selects(selector, &template["metadata"]["labels"]) {
                problems.push(format!("the selector of `{name}` does not match its pods"));
            }
            pod(
                &template["spec"],
                &object["spec"]["volumeClaimTemplates"],
                objects,
                &mut problems,
            );
        }
        if is_set && !exists(objects, "Service", text(&object["spec"]["serviceName"])) {
            problems.push(format!("the service of `{name}` does not exist"));
        }
        if object["kind"] == "Service" {
            service(object, objects, &mut problems);
        }
        if object["kind"] == "PodDisruptionBudget"
            && selected(objects, &object["spec"]["selector"]).is_empty()
        {
            // The broken selector is the problem of the pods, which are reported already.
            if !problems
                .iter()
                .any(|problem| problem.contains("does not match its pods"))
            {
                problems.push(format!("the budget `{name}` selects no pods"));
            }
        }
        for subject in object["subjects"].as_array().into_iter().flatten() {
            let account = text(&subject["name"]);
            if !exists(objects, "ServiceAccount", account) || subject["namespace"].is_null() {
                problems.push(format!("the subject `{account}` of `{name}` is incomplete"));
            }
        }
        if object["roleRef"].is_object() && !exists(objects, "Role", text(&object["roleRef"]["name"])) {
            problems.push(format!("the role of `{name}` does not exist"));
        }
    }
    problems
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns whether a text is a DNS label (RFC 1123) of at most `most` characters.
fn is_dns_label(text: &str, most: usize) -> bool {
    let is_inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    !text.is_empty()
        && text.len() <= most
        && text.chars().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn labels(labels: &Value, problems: &mut Vec<String>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        let value = text(value);
        let is_inner = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let ends = value.chars().next().into_iter().chain(value.chars().last());
        let is_valid = value.len() <= 63
            && value.chars().all(is_inner)
            && ends.into_iter().all(|letter| letter.is_ascii_alphanumeric());
        if !is_valid {
            problems.push(format!("`{value}` is no value of the label {key}"));
        }
    }
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let mut terms = selector.as_object().into_iter().flatten();
    terms.all(|(key, value)| labels[key] == *value)
}

fn exists(objects: &[Value], kind: &str, name: &str) -> bool {
    find(objects, kind, name).is_some()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
    let mut of_kind = objects.iter().filter(|object| object["kind"] == kind);
    of_kind.find(|object| object["metadata"]["name"] == name)
}

/// Returns the templates of the pods that a selector selects.
fn selected<'a>(objects: &'a [Value], selector: &Value) -> Vec<&'a Value> {
    let templates = objects.iter().map(|object| &object["spec"]["template"]);
    let labelled = templates.filter(|template| template.is_object());
    labelled
        .filter(|template| selects(&selector["matchLabels"], &template["metadata"]["labels"]))
        .collect()
}

fn service(service: &Value, objects: &[Value], problems: &mut Vec<String>) {
    let templates = objects.iter().map(|object| &object["spec"]["template"]);
    let ports: BTreeSet<&str> = templates
        .filter(|template| selects(&service["spec"]["selector"], &template["metadata"]["labels"]))
        .flat_map(|template| template["spec"]["containers"].as_array().into_iter().flatten())
        .flat_map(|container| container["ports"].as_array().into_iter().flatten())
        .map(|port| text(&port["name"]))
        .collect();
    for port in service["spec"]["ports"].as_array().into_iter().flatten() {
        let target = text(&port["targetPort"]);
        if !ports.contains(target) {
            problems.push(format!("no pod has the port `{target}`"));
        }
    }
}

fn pod(spec: &Value, claims: &Value, objects: &[Value], problems: &mut Vec<String>) {
    let account = &spec["serviceAccountName"];
    if account.is_string() && !exists(objects, "ServiceAccount", text(account)) {
        problems.push(format!("ServiceAccount `{}` does not exist", text(account)));
    }
    let mut volumes: BTreeSet<&str> = claims
        .as_array()
        .into_iter()
        .flatten()
        .map(|claim| text(&claim["metadata"]["name"]))
        .collect();
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        volumes.insert(text(&volume["name"]));
        let (secret, map) = (&volume["secret"], &volume["configMap"]);
        if secret.is_object()
            && secret["optional"] != true
            && !exists(objects, "Secret", text(&secret["secretName"]))
        {
            problems.push(format!(
                "the secret `{}` does not exist",
                text(&secret["secretName"])
            ));
        }
        if map.is_object() {
            let found = find(objects, "ConfigMap", text(&map["name"]));
            for item in map["items"].as_array().into_iter().flatten() {
                let key = text(&item["key"]);
                let has = |part: &str| found.is_some_and(|map| !map[part][key].is_null());
                if !has("data") && !has("binaryData") {
                    problems.push(format!("no config map has the key `{key}`"));
                }
            }
        }
    }
    if spec["securityContext"]["runAsNonRoot"] != true
        || spec["securityContext"]["seccompProfile"]["type"] != "RuntimeDefault"
    {
        problems.push("the pod does not meet the standard `restricted`".to_owned());
    }
    for container in spec["containers"].as_array().into_iter().flatten() {
        let name = text(&container["name"]);
        if !is_dns_label(name, 63) {
            problems.push(format!("`{name}` is no name of a container"));
        }
        let security = &container["securityContext"];
        if security["allowPrivilegeEscalation"] != false || security["capabilities"]["drop"][0] != "ALL" {
            problems.push(format!(
                "the container `{name}` does not meet the standard `restricted`"
            ));
        }
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            if !volumes.contains(text(&mount["name"])) {
                problems.push(format!("the volume `{}` does not exist", text(&mount["name"])));
            }
        }
        let ports: BTreeSet<u64> = container["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|port| port["containerPort"].as_u64())
            .collect();
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let port = container[probe]["grpc"]["port"].as_u64();
            if !port.is_some_and(|port| ports.contains(&port)) {
                problems.push(format!("the {probe} of `{name}` asks no port of it"));
            }
        }
        for resource in ["cpu", "memory"] {
            let of = |part: &str| amount(text(&container["resources"][part][resource]));
            if let (Some(request), Some(limit)) = (of("requests"), of("limits"))
                && request > limit
            {
                problems.push(format!("`{name}` requests more {resource} than its limit"));
            }
        }
    }
}

/// Returns an amount in thousandths: of a core, or of a mebibyte.
fn amount(text: &str) -> Option<u64> {
    for (suffix, factor) in [("m", 1), ("Mi", 1_000), ("Gi", 1_024_000), ("", 1_000)] {
        if let Some(number) = text.strip_suffix(suffix)
            && let Ok(number) = number.parse::<u64>()
        {
            return Some(number * factor);
        }
    }
    None
}
