//! `mirror kubernetes coordinate`: the command of the coordinator's container. It creates the pods of the nodes, runs
//! the experiment, and keeps the run until it is collected.

use std::fs;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use mirror_certificates::Authority;
use mirror_kubernetes::cluster::{ApiServers, Cluster};
use mirror_kubernetes::directory::AGENT;
use mirror_kubernetes::manifests::HEALTH_PORT;
use mirror_kubernetes::manifests::launcher::{HOST_VARIABLE, POD_VARIABLE, RUN_VARIABLE};
use mirror_kubernetes::manifests::nodes::{self, AUTHORITY_FILES, AgentCertificate};
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::plan::Plan;
use mirror_kubernetes::session::set_owner;
use mirror_kubernetes::settings::Settings;
use mirror_net::server::{Limits, Services, serve};
use mirror_output::message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::super::run::{Pods, StartArguments, in_pods};
use super::super::running::block_on;
use super::super::{Misuse, Status};
use super::ended_file;
use super::planned::{network, plan, settings_in};

/// The file that exists once the runs of this pod were collected.
const COLLECTED: &str = ".collected";

/// Pause between two looks whether the runs were collected.
const PAUSE: Duration = Duration::from_millis(500);

/// The beginning of the line with which the coordinator states that its run has ended.
pub(super) const HOLDING: &str = "the run has ended and waits to be collected";

#[derive(Debug, Args)]
pub(super) struct CoordinateArguments {
    #[command(flatten)]
    start: StartArguments,
    /// File with the settings of the cluster
    #[arg(long = "settings")]
    of_cluster: PathBuf,
    /// Address of the API server in the kubeconfig file of the person who started the run
    #[arg(long)]
    api_server: Option<String>,
    /// Folder with the authority of the agents. If it is empty: makes one
    #[arg(long)]
    authority: PathBuf,
}

pub(super) fn coordinate(arguments: CoordinateArguments) -> anyhow::Result<Status> {
    let start = arguments.start;
    let address: IpAddr = variable("POD_IP")?.parse().context("POD_IP is no IP address")?;
    let run = RunName::new(&variable(RUN_VARIABLE)?).map_err(Misuse::of)?;
    let settings = settings_in(&arguments.of_cluster)?;
    serve_health(SocketAddr::new(address, HEALTH_PORT))?;
    let runs_dir = start.runs_dir().to_owned();
    let Some(loaded) = start.load() else {
        return Ok(Status::Misused);
    };
    let plan = plan(run.clone(), &network(&loaded, start.file())?);
    let authority = authority_in(&arguments.authority)?;
    let mut api_servers = api_servers(&settings, arguments.api_server.as_deref());
    block_on(async { create_nodes(&api_servers.connect().await?, &plan, &settings, &authority).await })?;
    let pods = Pods {
        api_servers: api_servers.clone(),
        authority: [authority.certificate().to_owned(), authority.key()],
        address,
        start: Duration::from_secs(settings.start_seconds.into()),
        plan: plan.clone(),
    };
    let status = in_pods(start, &loaded, pods).unwrap_or_else(|error| {
        message!("error: {error:#}");
        if error.is::<Misuse>() {
            Status::Misused
        } else {
            Status::Failed
        }
    });
    let deleted = block_on(async { delete_nodes(&api_servers.connect().await?, &plan).await });
    if let Err(error) = deleted {
        message!("the pods of the nodes are left: {error:#}");
    }
    hold(&runs_dir, status, &run, &settings)?;
    Ok(status)
}

fn variable(name: &str) -> anyhow::Result<String> {
    let value = std::env::var(name);
    value.with_context(|| {
        format!("the variable {name} is missing: this command is for the pod of a coordinator")
    })
}

/// Returns the addresses at which the API server may be.
fn api_servers(settings: &Settings, of_person: Option<&str>) -> ApiServers {
    if !settings.api_server.is_empty() {
        return ApiServers::only(settings.api_server.clone());
    }
    let port = of_person
        .and_then(|address| address.rsplit_once(':'))
        .map_or("6443", |(_, port)| port);
    // The machine of the pod may be the one of the API server, as in a cluster of one machine.
    let of_machine = std::env::var(HOST_VARIABLE).map(|ip| format!("{ip}:{port}"));
    ApiServers::new(of_person.map(str::to_owned).into_iter().chain(of_machine))
}

/// Returns the authority in the secret of the run, or a new one if there is no secret.
fn authority_in(folder: &Path) -> anyhow::Result<Authority> {
    let [certificate, key] = AUTHORITY_FILES.map(|name| folder.join(name));
    if !key.exists() {
        return Ok(Authority::new()?);
    }
    let read =
        |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(Authority::from_pem(read(&certificate)?, &read(&key)?)?)
}

/// Answers health checks in a thread of its own, so that a busy coordinator does not count as hung.
fn serve_health(address: SocketAddr) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address} for health checks"))?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let serving = async move {
        let listener = TcpListener::from_std(listener)?;
        serve(listener, Services::new(None), Limits::default(), pending()).await?;
        anyhow::Ok(())
    };
    let thread = std::thread::Builder::new().name("health".to_owned());
    thread.spawn(move || {
        if let Err(error) = runtime.block_on(serving) {
            message!("health checks are not answered: {error:#}");
        }
    })?;
    Ok(())
}

/// Creates the objects of the nodes, which the job of this coordinator owns.
async fn create_nodes(
    cluster: &Cluster,
    plan: &Plan,
    settings: &Settings,
    authority: &Authority,
) -> anyhow::Result<()> {
    let owner = owner(cluster).await?;
    let certificate = authority.issue(AGENT)?;
    let certificate = AgentCertificate {
        authority: certificate.authority,
        certificate: certificate.certificate,
        key: certificate.key,
    };
    for mut object in nodes::objects(plan, settings, &certificate) {
        set_owner(&mut object, &owner);
        cluster.apply(&object).await?;
    }
    message!("{} pods with nodes are created", plan.pods());
    Ok(())
}

/// Returns the job of this coordinator.
async fn owner(cluster: &Cluster) -> anyhow::Result<Value> {
    let pod = variable(POD_VARIABLE)?;
    let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod } });
    let pod = cluster
        .get(&object)
        .await?
        .context("the pod of the coordinator does not exist")?;
    let owner = pod["metadata"]["ownerReferences"]
        .as_array()
        .and_then(|owners| owners.iter().find(|owner| owner["kind"] == "Job"))
        .context("the pod of the coordinator has no job")?;
    Ok(json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "metadata": { "name": owner["name"], "uid": owner["uid"] },
    }))
}

/// Deletes the pods of the nodes, whose agents would be started again without end.
async fn delete_nodes(cluster: &Cluster, plan: &Plan) -> anyhow::Result<()> {
    for group in &plan.groups {
        let object =
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": group.name } });
        cluster.delete(&object).await?;
    }
    Ok(())
}

/// Keeps the runs until they are collected, or for the time of the settings.
fn hold(runs_dir: &Path, status: Status, run: &RunName, settings: &Settings) -> anyhow::Result<()> {
    let code = match status {
        Status::Done => "0",
        Status::Failed => "1",
        Status::Misused => "2",
        Status::Unexpected => "3",
    };
    mirror_files::replace(&ended_file(runs_dir), code.as_bytes())
        .with_context(|| format!("cannot write to {}", runs_dir.display()))?;
    let minutes = settings.hold_minutes;
    message!("{HOLDING}, for {minutes} minutes: `mirror kubernetes collect {run}`");
    let collected = runs_dir.join(COLLECTED);
    let until = Instant::now() + Duration::from_mins(minutes.into());
    let is_asked_to_end = block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        while !collected.exists() && Instant::now() < until {
            tokio::select! {
                _ = terminate.recv() => return Ok(true),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        Ok(false)
    })?;
    if collected.exists() {
        // The command that has noted it may still be ending, and ends with this container.
        std::thread::sleep(PAUSE);
    } else if is_asked_to_end {
        message!("the pod was asked to end before the run was collected, so the run is lost");
    } else {
        message!("nothing has collected the run within {minutes} minutes, so it is lost");
    }
    Ok(())
}

/// Notes that the runs of this pod were collected.
pub(super) fn release(runs_dir: &Path) -> anyhow::Result<()> {
    ensure!(ended_file(runs_dir).exists(), "the run has not ended");
    let path = runs_dir.join(COLLECTED);
    fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))
}
