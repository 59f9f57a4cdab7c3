//! `run`: install, follow, count, guard, serve.

use crate::cli::{Global, Run};
use crate::config::Config;
use crate::control::server::Control;
use crate::datapath::{attach, fill::Filler, load, maps::Maps, tellers::Tellers, upgrade};
use crate::engine::{Drift, Engine, Lanes};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::metrics::serve::{Limits, serve};
use crate::natt::Natt;
use crate::net::{self, NetEvents};
use crate::ready::Ready;
use crate::record::{Record, RecordError, Scope};
use crate::rotation::{Rotations, converge};
use crate::sequence::{Ledger, Sequenced};
use crate::shared::{Scraper, Shared};
use crate::state::State;
use crate::supervise::{Tasks, hangup};
use crate::xfrm::{
    events::Events,
    netlink::{Netlink, apart},
    order::Order,
};
use crate::{clock, install, privilege, probe};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpListener;

/// Where metrics are served if nobody says otherwise.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9754);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(global: &Global, args: Run) -> Result<ExitCode, Failure> {
    let config = match &args.config {
        Some(path) => install::load(path)?,
        None => Config::default(),
    };
    let ifaces = ifaces(&args, &config)?;
    probe::permitted()?;
    let swappable = privilege::seal_memory()?;
    for lint in &config.lints {
        tracing::warn!("{lint}");
    }
    let instance = super::instance(global)?;
    let lock = instance.lock()?;
    if let Err(error) = apart::socket() {
        tracing::warn!("failed to make a network namespace to try SAs in: {error}");
    }
    attach::learn_names();
    privilege::cut_down()?;
    // Two workers at least: a full reading of the kernel must not hold up a scrape.
    let workers = std::thread::available_parallelism().map_or(2, |cpus| cpus.get().clamp(2, 4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Task("runtime", error.into()))?;
    let outcome = runtime.block_on(start(instance, config, ifaces, args, swappable));
    // A scrape that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(lock);
    outcome.map(|()| ExitCode::SUCCESS)
}

fn ifaces(args: &Run, config: &Config) -> Result<Vec<String>, Failure> {
    let mut ifaces = args.ifaces.clone();
    ifaces.extend(config.ifaces.iter().filter(|name| !args.ifaces.contains(name)).cloned());
    if ifaces.is_empty() {
        return Err(Failure::Usage(
            "there is no interface to attach to: name one with --iface, or in `interfaces` of the configuration",
        ));
    }
    Ok(ifaces)
}

async fn start(
    instance: Instance,
    config: Config,
    ifaces: Vec<String>,
    args: Run,
    swappable: Option<String>,
) -> Result<(), Failure> {
    // Pins that are gone say nothing about SAs and policies.
    let fresh = !super::pins(&instance).exist() && !Record::exists(&instance);
    let teardown = args.teardown;
    let place = instance.clone();
    let ready = Ready::default();
    let outcome = match bring_up(instance, config, ifaces, args, &ready).await {
        Ok((engine, following, listener)) => {
            engine.shared.state().lacks.extend(swappable);
            serve_until_told(engine, following, listener, ready).await
        }
        Err(failure) if fresh => {
            // A first start that fails leaves the host as it was. What it says is why it failed.
            if let Err(second) = super::detach::all(&place).await {
                tracing::error!("failed to take away what was set up before the failure: {second}");
            }
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    if teardown {
        super::detach::all(&place).await?;
    }
    outcome
}

/// The events that were asked for before the first reading.
type Following = (Events, NetEvents);

/// Everything up to the running loop: kernel state, maps, programs, in this order.
async fn bring_up(
    instance: Instance,
    config: Config,
    ifaces: Vec<String>,
    args: Run,
    ready: &Ready,
) -> Result<(Engine, Following, TcpListener), Failure> {
    let listener = listen(&args, &config).await?;
    let links = net::links().await?;
    if let Some(name) = ifaces.iter().find(|name| !links.iter().any(|link| link.name == **name)) {
        return Err(Failure::NoInterface(name.clone()));
    }
    let incomplete = ready.hold("first events read");
    let (attached, mirrored) = (ready.hold("datapath attached"), ready.hold("first mirror of xfrm_stat"));
    let following = (Events::subscribe(args.netlink_buffer)?, NetEvents::subscribe()?);
    let mut engine = prepare(instance, config, ifaces, args)?;
    let locals: BTreeSet<IpAddr> = net::addresses().await?.into_iter().collect();
    engine.xfrm.set_locals(locals.clone());
    engine.shared.picture().locals = locals;
    engine.shared.picture().order = Order::of_this_kernel();
    engine.open_sockets();
    converge(&engine.rotations, &mut engine.config, &mut engine.xfrm, &mut engine.record)?;
    let observed = engine.observe()?;
    engine.take(observed)?;
    engine.attach_all().await?;
    drop(attached);
    engine.mirror()?;
    drop(mirrored);
    engine.beat();
    engine.incomplete = Some(incomplete);
    Ok((engine, following, listener))
}

async fn serve_until_told(
    engine: Engine,
    (events, net): Following,
    listener: TcpListener,
    ready: Ready,
) -> Result<(), Failure> {
    let scraper = Scraper::new(&engine.pins, engine.shared.clone())?;
    let mut tasks = Tasks::default();
    let stop = tasks.stop();
    let control = Control::listen(&engine.instance);
    let (control, calls) = control.map_err(|error| Failure::Task("control socket", error.into()))?;
    tasks.add(engine.run(events, net, hangup()?, calls, stop.clone()));
    let until = stop.clone();
    tasks.add(async move {
        control.serve(until).await.map_err(|error| Failure::Task("control socket", error.into()))
    });
    tasks.add(async move {
        let served = serve(listener, scraper, ready, Limits::default(), stop).await;
        served.map_err(|error| Failure::Task("metrics", error.into()))
    });
    tasks.run().await
}

async fn listen(args: &Run, config: &Config) -> Result<TcpListener, Failure> {
    let addr = args.metrics.or(config.metrics).unwrap_or(METRICS);
    let listener = TcpListener::bind(addr).await.map_err(|error| Failure::Listen(addr, error))?;
    tracing::info!("metrics on http://{addr}/metrics");
    Ok(listener)
}

/// Everything that is needed before the kernel is changed: maps, record, sockets.
fn prepare(
    instance: Instance,
    mut config: Config,
    ifaces: Vec<String>,
    args: Run,
) -> Result<Engine, Failure> {
    let pins = super::pins(&instance);
    let replaced = load::maps(&pins, &config.sizes)?;
    let mut maps = Maps::open(&pins)?;
    for version in upgrade::take_over(&pins, &mut maps)? {
        tracing::warn!("taking over from an agent with maps of version {version}: counters start anew");
    }
    let mut rotations = Rotations::of(&instance)?;
    drop(rotations.take_over(&mut config));
    for row in rotations.rows() {
        tracing::info!("{row}");
    }
    let boot_id = Scope::of(&instance).map_err(RecordError::Scope)?.boot_id;
    let shared = Shared::default();
    shared.remember(State::load(&instance).unwrap_or_default());
    shared.picture().name(&config);
    {
        let mut state = shared.state();
        state.pid = std::process::id();
        state.version = env!("CARGO_PKG_VERSION").into();
        state.started_s = clock::unix_s();
        state.config = args.config.as_ref().map(|path| path.display().to_string());
        state.reconcile = config.reconcile.label().into();
        state.lacks = probe::lacks();
        state.rotations = rotations.rows();
        for lack in &state.lacks {
            tracing::warn!("{lack}");
        }
    }
    let netlink = Netlink::open()?;
    Ok(Engine {
        port: netlink.port(),
        filler: Filler::open(maps)?,
        replaced,
        tellers: Tellers::load(&pins, &config.sizes)?,
        xfrm: Sequenced::new(Box::new(netlink), Ledger::of(&instance)?),
        record: Record::of(&instance)?,
        natt: Natt::default(),
        rotations,
        rotation_behind: false,
        drift: Drift::default(),
        lanes: Lanes::default(),
        boot_id,
        path: args.config,
        mode: args.attach,
        instance,
        pins,
        config,
        ifaces,
        // Before the first reading.
        complete_ns: clock::monotonic_ns(),
        incomplete: None,
        shared,
        logs: Vec::new(),
    })
}
