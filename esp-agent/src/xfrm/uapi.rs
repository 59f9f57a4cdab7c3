//! Numbers and sizes of `include/uapi/linux/xfrm.h` (Linux 6.18). The kernel never changes them.

/// `XFRM_MSG_NEWSA`.
pub const NEWSA: u16 = 0x10;
/// `XFRM_MSG_DELSA`.
pub const DELSA: u16 = 0x11;
/// `XFRM_MSG_GETSA`.
pub const GETSA: u16 = 0x12;
/// `XFRM_MSG_NEWPOLICY`.
pub const NEWPOLICY: u16 = 0x13;
/// `XFRM_MSG_DELPOLICY`.
pub const DELPOLICY: u16 = 0x14;
/// `XFRM_MSG_GETPOLICY`.
pub const GETPOLICY: u16 = 0x15;
/// `XFRM_MSG_ACQUIRE`.
pub const ACQUIRE: u16 = 0x17;
/// `XFRM_MSG_EXPIRE`.
pub const EXPIRE: u16 = 0x18;
/// `XFRM_MSG_UPDPOLICY`.
pub const UPDPOLICY: u16 = 0x19;
/// `XFRM_MSG_UPDSA`.
pub const UPDSA: u16 = 0x1a;
/// `XFRM_MSG_POLEXPIRE`.
pub const POLEXPIRE: u16 = 0x1b;
/// `XFRM_MSG_FLUSHSA`.
pub const FLUSHSA: u16 = 0x1c;
/// `XFRM_MSG_FLUSHPOLICY`.
pub const FLUSHPOLICY: u16 = 0x1d;
/// `XFRM_MSG_NEWAE`.
pub const NEWAE: u16 = 0x1e;
/// `XFRM_MSG_REPORT`.
pub const REPORT: u16 = 0x20;
/// `XFRM_MSG_MIGRATE`.
pub const MIGRATE: u16 = 0x21;
/// `XFRM_MSG_MAPPING`.
pub const MAPPING: u16 = 0x26;
/// `XFRM_MSG_SETDEFAULT`, Linux 5.15.
pub const SETDEFAULT: u16 = 0x27;
/// `XFRM_MSG_GETDEFAULT`, Linux 5.15; its answer has the same number, and so has the event of a change.
pub const GETDEFAULT: u16 = 0x28;

/// `XFRMA_ALG_CRYPT`: `struct xfrm_algo`.
pub const ALG_CRYPT: u16 = 2;
/// `XFRMA_ALG_COMP`: `struct xfrm_algo`.
pub const ALG_COMP: u16 = 3;
/// `XFRMA_ENCAP`: `struct xfrm_encap_tmpl`.
pub const ENCAP: u16 = 4;
/// `XFRMA_TMPL`: array of `struct xfrm_user_tmpl`.
pub const TMPL: u16 = 5;
/// `XFRMA_SA`: `struct xfrm_usersa_info`.
pub const SA: u16 = 6;
/// `XFRMA_POLICY`: `struct xfrm_userpolicy_info`.
pub const POLICY: u16 = 7;
/// `XFRMA_LTIME_VAL`: `struct xfrm_lifetime_cur`.
pub const LTIME_VAL: u16 = 9;
/// `XFRMA_REPLAY_VAL`: `struct xfrm_replay_state`.
pub const REPLAY_VAL: u16 = 10;
/// `XFRMA_POLICY_TYPE`: `struct xfrm_userpolicy_type`.
pub const POLICY_TYPE: u16 = 16;
/// `XFRMA_MIGRATE`: `struct xfrm_user_migrate`, one or more.
pub const MIGRATE_ATTR: u16 = 17;
/// `XFRMA_ALG_AEAD`: `struct xfrm_algo_aead`.
pub const ALG_AEAD: u16 = 18;
/// `XFRMA_ALG_AUTH_TRUNC`: `struct xfrm_algo_auth`.
pub const ALG_AUTH_TRUNC: u16 = 20;
/// `XFRMA_MARK`: `struct xfrm_mark`.
pub const MARK: u16 = 21;
/// `XFRMA_TFCPAD`: u32.
pub const TFCPAD: u16 = 22;
/// `XFRMA_REPLAY_ESN_VAL`: `struct xfrm_replay_state_esn`.
pub const REPLAY_ESN_VAL: u16 = 23;
/// `XFRMA_SA_EXTRA_FLAGS`: u32.
pub const SA_EXTRA_FLAGS: u16 = 24;
/// `XFRMA_OFFLOAD_DEV`: `struct xfrm_user_offload`.
pub const OFFLOAD_DEV: u16 = 28;
/// `XFRMA_SET_MARK`: u32.
pub const SET_MARK: u16 = 29;
/// `XFRMA_SET_MARK_MASK`: u32.
pub const SET_MARK_MASK: u16 = 30;
/// `XFRMA_IF_ID`: u32.
pub const IF_ID: u16 = 31;
/// `XFRMA_SA_DIR`: u8, Linux 6.10; older kernels skip it.
pub const SA_DIR: u16 = 33;
/// `XFRMA_NAT_KEEPALIVE_INTERVAL`: u32, seconds, Linux 6.11.
pub const NAT_KEEPALIVE_INTERVAL: u16 = 34;
/// `XFRMA_SA_PCPU`: u32, Linux 6.13.
pub const SA_PCPU: u16 = 35;

/// `sizeof(struct xfrm_selector)`.
pub const SELECTOR_LEN: usize = 56;
/// `sizeof(struct xfrm_usersa_info)`.
pub const USERSA_INFO_LEN: usize = 224;
/// `sizeof(struct xfrm_usersa_id)`.
pub const USERSA_ID_LEN: usize = 24;
/// `sizeof(struct xfrm_user_expire)`.
pub const USER_EXPIRE_LEN: usize = 232;
/// `sizeof(struct xfrm_userpolicy_info)`.
pub const USERPOLICY_INFO_LEN: usize = 168;
/// `sizeof(struct xfrm_userpolicy_id)`.
pub const USERPOLICY_ID_LEN: usize = 64;
/// `sizeof(struct xfrm_user_polexpire)`.
pub const USER_POLEXPIRE_LEN: usize = 176;
/// `sizeof(struct xfrm_user_tmpl)`.
pub const USER_TMPL_LEN: usize = 64;
/// `sizeof(alg_name)`, its closing zero included.
pub const ALG_NAME_LEN: usize = 64;

/// `XFRM_STATE_NOECN`.
pub const STATE_NOECN: u8 = 1;
/// `XFRM_STATE_DECAP_DSCP`.
pub const STATE_DECAP_DSCP: u8 = 2;
/// `XFRM_STATE_NOPMTUDISC`.
pub const STATE_NOPMTUDISC: u8 = 4;
/// `XFRM_STATE_WILDRECV`.
pub const STATE_WILDRECV: u8 = 8;
/// `XFRM_STATE_ICMP`.
pub const STATE_ICMP: u8 = 16;
/// `XFRM_STATE_AF_UNSPEC`.
pub const STATE_AF_UNSPEC: u8 = 32;
/// `XFRM_STATE_ALIGN4`.
pub const STATE_ALIGN4: u8 = 64;
/// `XFRM_STATE_ESN`.
pub const STATE_ESN: u8 = 128;
/// `XFRM_SA_XFLAG_DONT_ENCAP_DSCP`.
pub const XFLAG_DONT_ENCAP_DSCP: u32 = 1;
/// `XFRM_SA_XFLAG_OSEQ_MAY_WRAP`.
pub const XFLAG_OSEQ_MAY_WRAP: u32 = 2;
/// `XFRM_POLICY_LOCALOK`.
pub const POLICY_LOCALOK: u8 = 1;
/// `XFRM_POLICY_ICMP`.
pub const POLICY_ICMP: u8 = 2;
/// `XFRM_OFFLOAD_INBOUND`.
pub const OFFLOAD_INBOUND: u8 = 2;
/// `XFRM_OFFLOAD_PACKET`.
pub const OFFLOAD_PACKET: u8 = 4;
/// `XFRM_INF`.
pub const INFINITE: u64 = u64::MAX;
/// `XFRMA_REPLAY_ESN_MAX`: packets of the largest window.
pub const REPLAY_ESN_MAX: u32 = 4096;
/// `XFRM_MAX_DEPTH`: templates of a policy.
pub const MAX_DEPTH: usize = 6;
