//! The only place that promises the loader that a type is plain data.

use crate::{
    Addr, Counter, FlowCounter, FlowKey, GuardKey, IfaceSlot, InnerKey, Rule, RuleRange, SaEntry, SadLayout,
    Sample, SeenKey, Settings, StatName, TunnelName,
};

macro_rules! pod {
    ($($name:ty),+ $(,)?) => {$(
        const _: () = {
            const fn plain<T: bytemuck::Pod>() {}
            plain::<$name>();
        };
        // SAFETY: the line above holds it to `bytemuck::Pod`, whose derive proves that all bytes are initialised and
        // every bit pattern is valid; that is what `aya::Pod` asks for.
        unsafe impl aya::Pod for $name {}
    )+};
}

pod!(
    Addr,
    Counter,
    FlowCounter,
    FlowKey,
    GuardKey,
    IfaceSlot,
    InnerKey,
    Rule,
    RuleRange,
    SaEntry,
    SadLayout,
    Sample,
    SeenKey,
    Settings,
    StatName,
    TunnelName,
);
