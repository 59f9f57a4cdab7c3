//! Maps made and pinned, programs accepted by the verifier; nothing attached yet.

use super::{
    DatapathError, cpus, object,
    pins::Pins,
    resize::{self, Replaced},
};
use crate::config::Sizes;
use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, Xdp},
};
use aya_log::EbpfLogger;
use esp_common::{SadLayout, Shape, lane::QUEUES, names, table::ghost_slots, transit::mac_word};

/// Maps with a size of their own, and that size.
pub(super) fn of_maps(sizes: &Sizes, cpus: u32) -> [(&'static str, u32); 17] {
    [
        (names::MAP_SA_INDEX, Shape::elements(sizes.sas)),
        (names::MAP_SA_LINES, cpus * Shape::slots_for(sizes.sas)),
        (names::MAP_HEADS, Shape::slots_for(sizes.sas)),
        (names::MAP_SEQUENCES, Shape::slots_for(sizes.sas)),
        (names::MAP_SA_BUDGETS, Shape::slots_for(sizes.sas)),
        (names::MAP_LANES, Shape::slots_for(sizes.sas)),
        (names::MAP_CPUS, cpus),
        (names::MAP_CPUS_FRAGS, cpus),
        (names::MAP_HANDED, QUEUES * cpus),
        (names::MAP_REFUSED, QUEUES * cpus),
        (names::MAP_REASONS, cpus * names::REASONS),
        (names::MAP_HITS, cpus * names::HITS),
        (names::MAP_TUNNELS, cpus * names::TUNNEL_COUNTERS),
        (names::MAP_SAS, sizes.sas),
        (names::MAP_INNER, sizes.sas),
        (names::MAP_FLOWS, sizes.flows),
        (names::MAP_GHOSTS, 1 + cpus * ghost_slots(sizes.ghosts)),
    ]
}

/// What the programs of one interface are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Constants {
    /// Slot in the interface table.
    pub slot: u32,
    /// There is no XDP program: TC judges the outer packet.
    pub outer_at_tc: bool,
    /// Frames start with the IP header.
    pub no_ethernet: bool,
    /// Ids of the maps of queues: what they refuse is ours to count.
    pub queue_ids: [u32; 2],
    /// Where this kernel keeps its SAs; zero where that is not known.
    pub sad: SadLayout,
    /// MAC address of the interface: transit is sent on that is for it alone.
    pub mac: [u8; 6],
}

/// The programs of one interface, in the kernel.
pub struct Loaded(Ebpf);

/// Prints what was logged since it was called last.
pub type FlushLog = Box<dyn FnMut() + Send>;

/// Makes and pins the maps, replacing those of another size with their counts carried over. Yields those, in which programs
/// may still count.
///
/// Errors: see [`DatapathError`].
pub fn maps(pins: &Pins, sizes: &Sizes) -> Result<Replaced, DatapathError> {
    pins.create()?;
    let saved = resize::save(pins, sizes)?;
    loader(pins, sizes, Constants::default())?;
    resize::restore(pins, saved)
}

/// Loads the TC programs for one interface; those for XDP are loaded when they are asked for.
///
/// Errors: see [`DatapathError`].
pub fn programs(pins: &Pins, sizes: &Sizes, constants: Constants) -> Result<Loaded, DatapathError> {
    let mut ebpf = loader(pins, sizes, constants)?;
    for name in [names::PROG_TC_IN, names::PROG_TC_OUT] {
        tc(&mut ebpf, name)?
            .load()
            .map_err(|source| DatapathError::LoadProgram { name, source: Box::new(source) })?;
    }
    Ok(Loaded(ebpf))
}

impl Loaded {
    /// What prints the lines that the datapath logged; `None` for the usual object, which logs nothing.
    pub fn log(&mut self) -> Option<FlushLog> {
        let mut logger = EbpfLogger::init(&mut self.0).ok()?;
        Some(Box::new(move || logger.flush()))
    }

    /// An XDP program, in the kernel.
    ///
    /// Errors: [`DatapathError::NoProgram`], [`DatapathError::LoadProgram`].
    pub fn xdp(&mut self, name: &'static str) -> Result<&mut Xdp, DatapathError> {
        let program = xdp(&mut self.0, name)?;
        if program.fd().is_err() {
            let failed = |source| DatapathError::LoadProgram { name, source: Box::new(source) };
            program.load().map_err(failed)?;
        }
        Ok(program)
    }

    /// A TC program.
    ///
    /// Errors: [`DatapathError::NoProgram`].
    pub fn tc(&mut self, name: &'static str) -> Result<&mut SchedClassifier, DatapathError> {
        tc(&mut self.0, name)
    }
}

pub(super) fn loader(pins: &Pins, sizes: &Sizes, constants: Constants) -> Result<Ebpf, DatapathError> {
    let slot = constants.slot;
    let (outer_at_tc, no_ethernet) = (u32::from(constants.outer_at_tc), u32::from(constants.no_ethernet));
    let mac = mac_word(constants.mac);
    let [cpus, cpus_frags] = constants.queue_ids;
    let mut loader = EbpfLoader::new();
    loader
        .override_global(names::GLOBAL_MAC, &mac, true)
        .override_global(names::GLOBAL_SAD, &constants.sad, true)
        .override_global(names::GLOBAL_IFACE, &slot, true)
        .override_global(names::GLOBAL_CPUS_ID, &cpus, true)
        .override_global(names::GLOBAL_CPUS_FRAGS_ID, &cpus_frags, true)
        .override_global(names::GLOBAL_OUTER_AT_TC, &outer_at_tc, true)
        .override_global(names::GLOBAL_NO_ETHERNET, &no_ethernet, true);
    for name in names::MAPS {
        loader.map_pin_path(name, pins.map(name));
    }
    size(&mut loader, sizes)?;
    loader.load(object::bytes()?).map_err(|error| DatapathError::Load(Box::new(error)))
}

/// Gives each map that has a size of its own that size.
///
/// Errors: the kernel does not tell how many CPUs there can be.
pub fn size(loader: &mut EbpfLoader<'_>, sizes: &Sizes) -> Result<(), DatapathError> {
    for (name, size) in of_maps(sizes, cpus::count()?) {
        loader.map_max_entries(name, size);
    }
    Ok(())
}

pub(super) fn xdp<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, DatapathError> {
    let program = ebpf.program_mut(name).and_then(|program| program.try_into().ok());
    program.ok_or(DatapathError::NoProgram(name))
}

pub(super) fn tc<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut SchedClassifier, DatapathError> {
    let program = ebpf.program_mut(name).and_then(|program| program.try_into().ok());
    program.ok_or(DatapathError::NoProgram(name))
}
