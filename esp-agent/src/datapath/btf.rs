//! Where the running kernel keeps the fields of its structures: a reader of its BTF (Documentation/bpf/btf.rst). aya reads it
//! too, and shows no more than ids.

/// The kernel's own types.
pub(super) const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// Types by their id less one, the order in which they stand.
pub(super) struct Types<'a> {
    types: Vec<Type<'a>>,
    names: &'a [u8],
}

/// `struct btf_type`, and what follows it.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    /// The size, or the type that this one stands for.
    next: u32,
    rest: &'a [u8],
}

/// `enum` of include/uapi/linux/btf.h.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// `struct btf_member`.
const MEMBER: usize = 12;
/// How deep types may stand for others: what goes on longer is a circle.
const DEPTH: u32 = 32;

impl<'a> Types<'a> {
    /// Reads them; `None` when the bytes are no BTF of this machine's byte order, or of a kind that is not known.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        const MAGIC: u16 = 0xeb9f;
        if u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let body = bytes.get(word(bytes, 4)? as usize..)?;
        let part = |at: usize| {
            let (start, len) = (word(bytes, at)? as usize, word(bytes, at + 4)? as usize);
            body.get(start..start.checked_add(len)?)
        };
        let (mut left, names) = (part(8)?, part(16)?);
        let mut types = Vec::new();
        while !left.is_empty() {
            let (name, info, next) = (word(left, 0)?, word(left, 4)?, word(left, 8)?);
            let (rest, behind) = left.get(12..)?.split_at_checked(extra(info)?)?;
            types.push(Type { name, info, next, rest });
            left = behind;
        }
        Some(Self { types, names })
    }

    /// The id of a structure.
    pub(super) fn structure(&self, name: &str) -> Option<u32> {
        let is_it = |found: &Type<'_>| found.kind() == kind::STRUCT && self.name(found.name) == Some(name);
        u32::try_from(self.types.iter().position(is_it)? + 1).ok()
    }

    /// Where a field is in a structure, in bytes. The path goes through structures that lie in it, not through pointers.
    pub(super) fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let start = (self.structure(structure)?, 0_u32);
        let (_, offset) = path.iter().try_fold(start, |(id, offset), name| {
            let (id, more) = self.member(id, name, DEPTH)?;
            Some((id, offset.checked_add(more)?))
        })?;
        Some(offset)
    }

    /// Type and offset of a field, also of one in a structure without a name.
    fn member(&self, id: u32, name: &str, depth: u32) -> Option<(u32, u32)> {
        let found = self.plain(id)?;
        let (members, depth) = (found.rest.chunks_exact(MEMBER), depth.checked_sub(1)?);
        if !matches!(found.kind(), kind::STRUCT | kind::UNION) {
            return None;
        }
        for member in members {
            let (called, id) = (self.name(word(member, 0)?)?, word(member, 4)?);
            // With the kind flag the upper byte is the size of a bit field.
            let bits = word(member, 8)? & if found.info >> 31 == 1 { 0x00ff_ffff } else { u32::MAX };
            if called == name {
                return Some((id, bits / 8));
            }
            if called.is_empty()
                && let Some((id, offset)) = self.member(id, name, depth)
            {
                return Some((id, offset.checked_add(bits / 8)?));
            }
        }
        None
    }

    /// The type behind names and qualifiers.
    fn plain(&self, mut id: u32) -> Option<Type<'a>> {
        for _ in 0..DEPTH {
            let found = *self.types.get(usize::try_from(id.checked_sub(1)?).ok()?)?;
            match found.kind() {
                kind::TYPEDEF..=kind::RESTRICT | kind::TYPE_TAG => id = found.next,
                _ => return Some(found),
            }
        }
        None
    }

    fn name(&self, at: u32) -> Option<&'a str> {
        let text = self.names.get(usize::try_from(at).ok()?..)?;
        std::str::from_utf8(text.split(|byte| *byte == 0).next()?).ok()
    }
}

impl Type<'_> {
    fn kind(&self) -> u32 {
        kind_of(self.info)
    }
}

const fn kind_of(info: u32) -> u32 {
    info >> 24 & 0x1f
}

/// How many bytes follow a type.
fn extra(info: u32) -> Option<usize> {
    let each = match kind_of(info) {
        kind::INT | kind::VAR | kind::DECL_TAG => return Some(4),
        kind::ARRAY => return Some(12),
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12,
        kind::ENUM | kind::FUNC_PROTO => 8,
        // Pointers, forward declarations, names and qualifiers, functions, floats.
        2 | 7..=12 | 16 | kind::TYPE_TAG => 0,
        _ => return None,
    };
    usize::try_from(info & 0xffff).ok()?.checked_mul(each)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int a; struct { int b; named c; }; }` and `typedef struct inner { int x; int y : 4; } named`.
    fn sample() -> Vec<u8> {
        let names = b"\0outer\0inner\0named\0a\0b\0c\0x\0y\0int\0";
        let at = |name: &str| {
            let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
            let found = names.windows(wanted.len()).position(|part| part == wanted).map(|start| start + 1);
            u32::try_from(found.expect(name)).expect("few")
        };
        let info = |kind: u32, members: u32| kind << 24 | members;
        let flagged = 1 << 31;
        let words = [
            [at("int"), info(kind::INT, 0), 4].as_slice(),
            &[32],
            &[at("inner"), info(kind::STRUCT, 2) | flagged, 8],
            &[at("x"), 1, 0, at("y"), 1, 4 << 24 | 32],
            &[at("named"), info(kind::TYPEDEF, 0), 2],
            &[0, info(kind::STRUCT, 2), 12],
            &[at("b"), 1, 0, at("c"), 3, 32],
            &[at("outer"), info(kind::STRUCT, 2), 16],
            &[at("a"), 1, 0, 0, 4, 32],
        ]
        .concat();
        let types: &[u8] = bytemuck::cast_slice(&words);
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("few");
        let header = [24, 0, len(types), len(types), len(names)].map(u32::to_ne_bytes).concat();
        let magic = [0xeb9f_u16.to_ne_bytes(), [1, 0]].concat();
        [magic.as_slice(), &header, types, names].concat()
    }

    #[test]
    fn a_field_is_found_through_what_lies_in_a_structure() {
        let bytes = sample();
        let types = Types::parse(&bytes).expect("valid");
        assert_eq!(types.structure("outer"), Some(5));
        assert_eq!(types.offset("outer", &["a"]), Some(0));
        assert_eq!(types.offset("outer", &["b"]), Some(4));
        assert_eq!(types.offset("outer", &["c"]), Some(8));
        assert_eq!(types.offset("outer", &["c", "y"]), Some(12));
        for path in [["a", "x"].as_slice(), &["d"], &["x"]] {
            assert_eq!(types.offset("outer", path), None, "{path:?}");
        }
        assert_eq!((types.offset("named", &["x"]), types.structure("int")), (None, None));
    }

    #[test]
    fn what_is_cut_short_or_of_another_kind_is_refused() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(Types::parse(&bytes[..len]).is_none(), "{len} bytes");
        }
        let mut other = bytes.clone();
        other[24 + 7] = 0x1f;
        assert!(Types::parse(&other).is_none());
    }
}
