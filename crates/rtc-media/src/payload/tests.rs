use super::*;
use crate::testing::Chance;

const VIDEO: [Codec; 5] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1];

/// What a row expects, in words: only what is said.
fn told(info: &PacketInfo) -> String {
    let mut words = Vec::new();
    if info.keyframe_start {
        words.push("keyframe".to_owned());
    }
    words.push(format!("{:?}", info.part).to_lowercase());
    words.extend(info.spatial.map(|spatial| format!("s{spatial}")));
    words.extend(info.temporal.map(|temporal| format!("t{temporal}")));
    if info.switch_up != SwitchUp::No {
        words.push(format!("up-{:?}", info.switch_up).to_lowercase());
    }
    words.extend(info.resolution.map(|(width, height)| format!("{width}x{height}")));
    words.join(" ")
}

#[track_caller]
fn check(codec: Codec, rows: &[(&str, &[u8], &str)]) {
    for &(name, payload, expected) in rows {
        assert_eq!(told(&inspect(codec, payload)), expected, "{name}");
    }
}

#[test]
fn vp8_says_keyframe_layer_and_size() {
    let key = [0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
    let with_key = |descriptor: &[u8]| [descriptor, &[0x10, 0x02, 0x00], &key].concat();
    check(
        Codec::Vp8,
        &[
            ("keyframe without extensions", &with_key(&[0x10]), "keyframe start 640x360"),
            (
                "scale bits are not of the size",
                &{
                    let mut scaled = with_key(&[0x10]);
                    scaled[8] |= 0xc0;
                    scaled
                },
                "keyframe start 640x360",
            ),
            ("delta frame", &[0x10, 0x11, 0, 0], "start"),
            ("second packet of a keyframe", &[0x00, 0x10, 0x02], "middle"),
            ("first packet of the second partition", &[0x11, 0x10, 0x02], "middle"),
            (
                "all extensions, long picture id",
                &with_key(&[0x90, 0xf0, 0xa3, 0x45, 0x17, 0x45]),
                "keyframe start t1 640x360",
            ),
            ("layer sync", &[0x90, 0x20, 0xa0, 0x11], "start t2 up-here"),
            ("temporal id without sync", &[0x90, 0x20, 0x80, 0x11], "start t2"),
            ("key index alone gives no temporal id", &[0x90, 0x10, 0xff, 0x11], "start"),
            ("keyframe cut before its size", &[0x10, 0x10, 0x02, 0x00, 0x9d], "keyframe start"),
            ("wrong start code", &[0x10, 0x10, 2, 0, 1, 2, 3, 4, 5, 6, 7], "keyframe start"),
            ("descriptor only", &[0x10], "start"),
            ("cut in the extension", &[0x90], "unknown"),
            ("cut in the picture id", &[0x90, 0x80, 0x80], "unknown"),
            ("empty", &[], "unknown"),
        ],
    );
}

#[test]
fn vp8_descriptor_has_all_its_numbers() {
    let payload = [0x90, 0xf0, 0xa3, 0x45, 0x17, 0x6a, 0x01];
    let vp8 = inspect(Codec::Vp8, &payload).vp8.unwrap();
    assert_eq!(vp8.picture_id, Some(PictureId { value: 0x2345, width: PictureIdWidth::Long }));
    assert_eq!(vp8.tl0_pic_idx, Some(0x17));
    assert_eq!(vp8.temporal, Some(1));
    assert_eq!(vp8.key_idx, Some(10));
}

#[test]
fn vp8_numbers_are_rewritten_in_their_own_width() {
    let numbers = Vp8Numbers { picture_id: 0xffff, tl0_pic_idx: 0xab, key_idx: 0xff };
    type Row = (&'static str, &'static [u8], Option<&'static [u8]>);
    let rows: [Row; 7] = [
        ("nothing to write", &[0x10, 1], None),
        ("short id", &[0x90, 0x80, 0x01, 1], Some(&[0x90, 0x80, 0x7f, 1])),
        ("long id", &[0x90, 0x80, 0x80, 0x01, 1], Some(&[0x90, 0x80, 0xff, 0xff, 1])),
        ("TL0 index", &[0x90, 0x40, 0x01, 1], Some(&[0x90, 0x40, 0xab, 1])),
        ("temporal bits stay", &[0x90, 0x30, 0xa1, 1], Some(&[0x90, 0x30, 0xbf, 1])),
        ("temporal id only stays", &[0x90, 0x20, 0xa1, 1], None),
        (
            "everything",
            &[0x90, 0xf0, 0x80, 0x00, 0x00, 0x40, 1],
            Some(&[0x90, 0xf0, 0xff, 0xff, 0xab, 0x5f, 1]),
        ),
    ];
    for (name, payload, expected) in rows {
        let vp8 = inspect(Codec::Vp8, payload).vp8.unwrap();
        let patched = vp8.rewritten(numbers).map(|header| {
            let mut patched = payload.to_vec();
            patched[..header.as_bytes().len()].copy_from_slice(header.as_bytes());
            patched
        });
        assert_eq!(patched.as_deref(), expected, "{name}");
    }
}

#[test]
fn vp9_says_keyframe_layer_and_size() {
    let structure = [0x38, 0x02, 0x80, 0x01, 0x68, 0x05, 0x00, 0x02, 0xd0, 0x00];
    check(
        Codec::Vp9,
        &[
            ("no layers, whole frame", &[0x8c, 0x80, 0x01], "keyframe whole"),
            ("no layers, predicted", &[0xcc, 0x80, 0x01], "whole"),
            ("long id, lowest layers", &[0xa8, 0x81, 0x01, 0x00, 0x05], "keyframe start s0 t0"),
            (
                "structure with two sizes",
                &[&[0xaa, 0x81, 0x01, 0x00, 0x05][..], &structure].concat(),
                "keyframe start s0 t0 1280x720",
            ),
            ("upper layer of a keyframe", &[0xac, 1, 0x03, 0x05], "whole s1 t0"),
            ("second packet of a keyframe", &[0xa4, 1, 0x00, 0x05], "end s0 t0"),
            ("switching up point", &[0xe8, 1, 0x30, 0x05], "start s0 t1 up-after"),
            ("flexible, two references", &[0xf8, 1, 0x44, 0x03, 0x04], "start s2 t2"),
            ("flexible, references cut", &[0xf8, 1, 0x44, 0x03], "unknown"),
            (
                "flexible, four references end after three",
                &[0xf8, 1, 0x44, 3, 3, 3, 3],
                "start s2 t2",
            ),
            ("structure without sizes", &[0x8a, 0x01, 0x20], "keyframe start"),
            ("structure cut", &[0x8a, 0x01, 0x30, 0x02], "keyframe start"),
            ("zero size", &[0x8a, 0x01, 0x10, 0, 0, 0, 0], "keyframe start"),
            ("cut in the layer", &[0xa8, 0x01], "unknown"),
            ("cut before the TL0 index", &[0xa8, 0x01, 0x00], "unknown"),
            ("empty", &[], "unknown"),
        ],
    );
}

/// Constrained baseline, 640x360, as an encoder of phones writes it.
const SPS_360: [u8; 13] =
    [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc, 0xb0, 0x0f, 0x08];

#[test]
fn h264_starts_with_its_parameter_set() {
    let mut set = BitWriter::default();
    set.write(0x42_c0_1f, 24);
    set.baseline_body(40, 23, Some((0, 0, 0, 4)));
    let sps = [&[0x67][..], &set.finish()].concat();
    let stap = |units: &[&[u8]]| {
        let mut payload = vec![24];
        for unit in units {
            payload.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
            payload.extend(*unit);
        }
        payload
    };
    check(
        Codec::H264,
        &[
            ("parameter set alone", &sps, "keyframe start 640x360"),
            ("aggregated", &stap(&[&sps, &[0x68, 1], &[0x65, 1]]), "keyframe start 640x360"),
            ("delimiter first", &stap(&[&[0x09, 0xf0], &sps]), "keyframe start 640x360"),
            ("IDR picture alone", &[0x65, 0x88], "unknown"),
            ("picture parameter set alone", &[0x68, 0x88], "unknown"),
            ("slice", &[0x41, 0x9a], "unknown"),
            ("first fragment of an IDR picture", &[0x7c, 0x85, 0x88], "unknown"),
            ("middle fragment", &[0x7c, 0x05, 0x88], "middle"),
            ("last fragment", &[0x7c, 0x45, 0x88], "unknown"),
            ("fragmented parameter set", &[0x7c, 0x87, 0x42], "keyframe start"),
            ("cut parameter set", &[0x67, 0x42], "keyframe start"),
            ("aggregate with a size beyond its end", &[24, 0xff, 0xff, 0x67], "unknown"),
            ("aggregate of empty units", &[24, 0, 0, 0, 0], "unknown"),
            ("fragment header cut", &[0x7c], "unknown"),
            ("empty", &[], "unknown"),
        ],
    );
    assert!(inspect(Codec::H264, &SPS_360).keyframe_start);
}

#[test]
fn h264_sizes_of_all_profiles() {
    let high = |chroma: u32| {
        let mut set = BitWriter::default();
        set.write(0x64_00_28, 24);
        set.exp_golomb(0);
        set.exp_golomb(chroma);
        if chroma == 3 {
            set.write(0, 1);
        }
        set.exp_golomb(0);
        set.exp_golomb(0);
        set.write(0, 1);
        // A scaling matrix whose first list is there and ends at once, and whose second goes on.
        set.write(1, 1);
        let lists = if chroma == 3 { 12 } else { 8 };
        for list in 0..lists {
            set.write(u32::from(list < 2), 1);
            if list == 0 {
                set.signed_exp_golomb(-8);
            } else if list == 1 {
                for _ in 0..16 {
                    set.signed_exp_golomb(1);
                }
            }
        }
        set.after_id(120, 68, Some((0, 0, 0, if chroma == 1 { 4 } else { 8 })));
        [&[0x67][..], &set.finish()].concat()
    };
    check(
        Codec::H264,
        &[
            ("4:2:0", &high(1), "keyframe start 1920x1080"),
            ("4:2:2", &high(2), "keyframe start 1920x1080"),
            ("4:4:4", &high(3), "keyframe start 1920x1080"),
        ],
    );
}

#[test]
fn h264_hostile_sizes_are_not_believed() {
    let crop = |width: u32, height: u32, crop: (u32, u32, u32, u32)| {
        let mut set = BitWriter::default();
        set.write(0x42_c0_1f, 24);
        set.baseline_body(width, height, Some(crop));
        [&[0x67][..], &set.finish()].concat()
    };
    check(
        Codec::H264,
        &[
            ("everything cropped", &crop(1, 1, (4, 4, 0, 0)), "keyframe start"),
            ("more than everything cropped", &crop(1, 1, (400, 4, 0, 0)), "keyframe start"),
            ("crop overflows", &crop(1, 1, (0xffff_fffe, 0xffff_fffe, 0, 0)), "keyframe start"),
            ("huge", &crop(0x0fff_ffff, 1, (0, 0, 0, 0)), "keyframe start"),
            (
                "no end of zeros",
                &[&[0x67, 0x42, 0xc0, 0x1f][..], &[0; 80]].concat(),
                "keyframe start",
            ),
        ],
    );
}

#[test]
fn h264_emulation_prevention_is_taken_out() {
    // Level 0 and set id 0 with three zero octets in a row need an escape octet.
    let mut set = BitWriter::default();
    set.write(0x42_00_00, 24);
    set.baseline_body(20, 15, None);
    let plain = set.finish();
    let mut escaped = vec![0x67];
    let mut zeros = 0;
    for octet in plain {
        if zeros == 2 && octet <= 3 {
            escaped.push(3);
            zeros = 0;
        }
        zeros = if octet == 0 { zeros + 1 } else { 0 };
        escaped.push(octet);
    }
    check(Codec::H264, &[("escaped", &escaped, "keyframe start 320x240")]);
}

#[test]
fn h265_starts_with_its_video_parameter_set() {
    check(
        Codec::H265,
        &[
            ("parameter set alone", &[0x40, 0x01, 0x0c], "keyframe start t0"),
            (
                "aggregated",
                &[0x60, 0x01, 0, 3, 0x40, 1, 0x0c, 0, 3, 0x42, 1, 1],
                "keyframe start t0",
            ),
            ("fragmented", &[0x62, 0x01, 0x80 | 32, 0x0c], "keyframe start t0"),
            ("middle fragment", &[0x62, 0x01, 19, 0x0c], "middle t0"),
            ("last fragment", &[0x62, 0x01, 0x40 | 19, 0x0c], "unknown t0"),
            ("IDR picture alone", &[0x26, 0x01, 0xaf], "unknown t0"),
            ("slice of an upper layer", &[0x02, 0x03, 0xd0], "unknown t2"),
            ("temporal switching point", &[0x04, 0x02, 0xd0], "unknown t1 up-here"),
            ("forbidden temporal id", &[0x02, 0x00, 0xd0], "unknown"),
            ("aggregate cut", &[0x60, 0x01, 0, 9, 0x40], "unknown t0"),
            ("fragment cut", &[0x62, 0x01], "unknown"),
            ("one octet", &[0x40], "unknown"),
            ("empty", &[], "unknown"),
        ],
    );
}

#[test]
fn av1_starts_with_its_sequence_header() {
    check(
        Codec::Av1,
        &[
            ("one element", &[0x18, 0x08, 0x00], "keyframe start"),
            ("with lengths", &[0x08, 2, 0x08, 0, 3, 0x30, 1, 2], "keyframe start"),
            ("delimiter first", &[0x08, 1, 0x10, 2, 0x08, 0], "keyframe start"),
            ("layers", &[0x28, 2, 0x08, 0, 0x34, 0x28, 1], "keyframe start"),
            ("sequence header without N", &[0x10, 0x08, 0x00], "unknown"),
            ("N without sequence header", &[0x18, 0x30, 0x00], "unknown"),
            ("continuation", &[0x98, 0x08, 0x00], "middle"),
            ("delta frame of a layer", &[0x10, 0x34, 0x40, 1], "unknown"),
            ("length beyond the end", &[0x08, 0x7f, 0x08], "unknown"),
            (
                "length without end",
                &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                "unknown",
            ),
            ("length of 2^56", &[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "unknown"),
            ("empty elements", &[0x08, 0, 0, 0], "unknown"),
            ("extension cut", &[0x18, 0x0c], "keyframe start"),
            ("aggregation header only", &[0x18], "unknown"),
            ("empty", &[], "unknown"),
        ],
    );
}

#[test]
fn audio_can_be_started_anywhere() {
    for codec in [Codec::Opus, Codec::Red] {
        assert_eq!(told(&inspect(codec, &[])), "keyframe whole");
    }
}

#[test]
fn arbitrary_bytes_never_panic_and_headers_stay_their_length() {
    let mut chance = Chance::new(0x5eed_0001);
    let mut payload = Vec::new();
    for round in 0..200_000_u32 {
        payload.clear();
        let len = chance.below(if round % 10 == 0 { 300 } else { 24 });
        // Sparse bits reach deeper into descriptors than even chance.
        let sparse = chance.percent(30);
        payload.extend((0..len).map(|_| {
            let byte = chance.byte();
            if sparse { byte & chance.byte() & chance.byte() } else { byte }
        }));
        for codec in VIDEO {
            let info = inspect(codec, &payload);
            if let Some((width, height)) = info.resolution {
                assert!(info.keyframe_start && width > 0 && height > 0, "{payload:?}");
            }
            let Some(vp8) = info.vp8 else { continue };
            let numbers = Vp8Numbers {
                picture_id: u16::from(chance.byte()) << 7,
                tl0_pic_idx: chance.byte(),
                key_idx: chance.byte() & 0x1f,
            };
            let mut patched = payload.clone();
            if let Some(header) = vp8.rewritten(numbers) {
                patched[..header.as_bytes().len()].copy_from_slice(header.as_bytes());
            }
            let again = inspect(codec, &patched);
            let read = again.vp8.unwrap();
            assert_eq!(
                (again.keyframe_start, again.part, again.temporal, again.resolution),
                (info.keyframe_start, info.part, info.temporal, info.resolution),
            );
            assert_eq!(read.tl0_pic_idx, vp8.tl0_pic_idx.map(|_| numbers.tl0_pic_idx));
            assert_eq!(read.key_idx, vp8.key_idx.map(|_| numbers.key_idx));
            assert_eq!(
                read.picture_id,
                vp8.picture_id
                    .map(|id| PictureId { value: numbers.picture_id & id.width.mask(), ..id }),
            );
        }
    }
}

#[test]
fn every_cut_and_flip_of_a_good_parameter_set_is_survived() {
    for len in 0..=SPS_360.len() {
        inspect(Codec::H264, &SPS_360[..len]);
        for bit in 0..len * 8 {
            let mut flipped = SPS_360;
            flipped[bit / 8] ^= 1 << (bit % 8);
            inspect(Codec::H264, &flipped[..len]);
        }
    }
}

/// Writes parameter sets.
#[derive(Default)]
struct BitWriter {
    bits: Vec<bool>,
}

impl BitWriter {
    fn write(&mut self, value: u32, count: u32) {
        self.bits.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    }

    fn exp_golomb(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let len = 64 - code.leading_zeros();
        self.bits.extend((1..len).map(|_| false));
        self.bits.extend((0..len).rev().map(|bit| code >> bit & 1 == 1));
    }

    fn signed_exp_golomb(&mut self, value: i32) {
        let magnitude = value.unsigned_abs() * 2;
        self.exp_golomb(if value > 0 { magnitude - 1 } else { magnitude });
    }

    /// Everything after profile and level, for profiles without a chroma format.
    fn baseline_body(&mut self, width: u32, height: u32, crop: Option<(u32, u32, u32, u32)>) {
        self.exp_golomb(0);
        self.after_id(width, height, crop);
    }

    /// From `log2_max_frame_num_minus4` on; sizes in blocks of 16.
    fn after_id(&mut self, width: u32, height: u32, crop: Option<(u32, u32, u32, u32)>) {
        self.exp_golomb(0);
        self.exp_golomb(2);
        self.exp_golomb(1);
        self.write(0, 1);
        self.exp_golomb(width - 1);
        self.exp_golomb(height - 1);
        self.write(1, 1);
        self.write(1, 1);
        self.write(u32::from(crop.is_some()), 1);
        for edge in crop.map(|(l, r, t, b)| [l, r, t, b]).into_iter().flatten() {
            self.exp_golomb(edge);
        }
        self.write(0, 1);
    }

    fn finish(mut self) -> Vec<u8> {
        self.write(1, 1);
        self.bits
            .chunks(8)
            .map(|bits| {
                bits.iter().enumerate().fold(0, |byte, (i, &bit)| byte | u8::from(bit) << (7 - i))
            })
            .collect()
    }
}
