//! The little of a session description that the engine does not show or cannot be told: which client track a
//! section carries (RFC 8830 `a=msid`), and how our own sections are presented.
//!
//! Text in, values or text out. Lines are looked at one by one; whatever is not known passes unchanged.

use rtc_model::{Codec, Dtx, RedUse, Stereo, TrackFeatures, TrackId, TrackKind};

/// One media section of a description, as far as we look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    pub(crate) mid: &'a str,
    /// `None` for data channels and unknown kinds.
    pub(crate) kind: Option<TrackKind>,
    pub(crate) direction: SectionDirection,
    /// The track part of `a=msid`, or of the older `a=ssrc:… msid:`.
    pub(crate) track: Option<&'a str>,
    /// Supported codecs in order of preference.
    pub(crate) codecs: Vec<Codec>,
}

/// RFC 8866 §6.7, from the describer's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionDirection {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl SectionDirection {
    pub(crate) fn is_sending(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }
}

/// Reads the media sections of a description, in order.
pub(crate) fn sections(sdp: &str) -> Vec<Section<'_>> {
    blocks(sdp).skip(1).map(section).collect()
}

/// How one of our sections is to be presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Presentation {
    /// As the engine wrote it.
    Unchanged,
    /// Not in use: a receiver must not make a track of it.
    Unused,
    /// Carries this track of others.
    Carries { stream: String, track: TrackId, stereo: Stereo },
    /// We receive on it.
    Receives { features: TrackFeatures, prefer: Option<Codec> },
}

/// Rewrites a description of ours, asking for each section's mid how it is to be presented.
pub(crate) fn present(sdp: &str, mut plan: impl FnMut(&str) -> Presentation) -> String {
    let mut out = String::with_capacity(sdp.len() + 256);
    for (index, block) in blocks(sdp).enumerate() {
        if index == 0 {
            out.push_str(block);
            continue;
        }
        match plan(section(block).mid) {
            Presentation::Unchanged => out.push_str(block),
            Presentation::Unused => present_unused(block, &mut out),
            Presentation::Carries { stream, track, stereo } => {
                present_carrying(block, &stream, track, stereo, &mut out);
            }
            Presentation::Receives { features, prefer } => {
                present_receiving(block, features, prefer, &mut out);
            }
        }
    }
    out
}

/// The description without ICE candidates. We only answer connectivity checks (RFC 8445 §2.5, lite), so where
/// the other side might be reached is of no use to us, and its host names cannot be resolved anyway.
pub(crate) fn without_candidates(sdp: &str) -> String {
    let mut out = String::with_capacity(sdp.len());
    for line in lines(sdp) {
        if !line.starts_with("a=candidate:") {
            push_line(&mut out, line);
        }
    }
    out
}

/// The first ICE user name fragment of a description.
pub(crate) fn ice_ufrag(sdp: &str) -> Option<&str> {
    lines(sdp).find_map(|line| line.strip_prefix("a=ice-ufrag:"))
}

/// The session part, then one piece per media section; concatenated they are the input.
fn blocks(sdp: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(sdp);
    std::iter::from_fn(move || {
        let text = rest?;
        if let Some(at) = text.get(1..).and_then(|tail| tail.find("\nm=")) {
            let (head, tail) = text.split_at(at + 2);
            rest = Some(tail);
            Some(head)
        } else {
            rest = None;
            Some(text)
        }
    })
}

fn lines(block: &str) -> impl Iterator<Item = &str> {
    block.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty())
}

fn section(block: &str) -> Section<'_> {
    let mut found = Section {
        mid: "",
        kind: None,
        direction: SectionDirection::SendRecv,
        track: None,
        codecs: Vec::new(),
    };
    for line in lines(block) {
        if let Some(media) = line.strip_prefix("m=") {
            found.kind = match media.split(' ').next() {
                Some("audio") => Some(TrackKind::Audio),
                Some("video") => Some(TrackKind::Video),
                _ => None,
            };
        } else if let Some(mid) = line.strip_prefix("a=mid:") {
            found.mid = mid;
        } else if let Some(direction) = direction_of(line) {
            found.direction = direction;
        } else if let Some(msid) = line.strip_prefix("a=msid:") {
            found.track = msid.split(' ').nth(1).or(found.track);
        } else if let Some((_, msid)) =
            line.strip_prefix("a=ssrc:").and_then(|ssrc| ssrc.split_once(" msid:"))
        {
            found.track = found.track.or(msid.split(' ').nth(1));
        }
    }
    found.codecs = codecs(block);
    found
}

fn direction_of(line: &str) -> Option<SectionDirection> {
    match line {
        "a=sendrecv" => Some(SectionDirection::SendRecv),
        "a=sendonly" => Some(SectionDirection::SendOnly),
        "a=recvonly" => Some(SectionDirection::RecvOnly),
        "a=inactive" => Some(SectionDirection::Inactive),
        _ => None,
    }
}

/// Payload types of the `m=` line, in order.
fn payload_types(block: &str) -> Vec<&str> {
    lines(block)
        .next()
        .map(|media| media.split(' ').skip(3).filter(|pt| !pt.is_empty()).collect())
        .unwrap_or_default()
}

/// `(payload type, encoding name)` of one `a=rtpmap` line.
fn rtpmap(line: &str) -> Option<(&str, &str)> {
    let (pt, encoding) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
    Some((pt, encoding.split('/').next().unwrap_or(encoding)))
}

fn codec_of(block: &str, pt: &str) -> Option<Codec> {
    lines(block)
        .filter_map(rtpmap)
        .find(|(mapped, _)| *mapped == pt)
        .and_then(|(_, name)| Codec::from_mime(name))
}

fn codecs(block: &str) -> Vec<Codec> {
    let mut found = Vec::new();
    for pt in payload_types(block) {
        if let Some(codec) = codec_of(block, pt)
            && !found.contains(&codec)
        {
            found.push(codec);
        }
    }
    found
}

fn present_unused(block: &str, out: &mut String) {
    for line in lines(block) {
        if line.starts_with("a=msid:") || line.starts_with("a=ssrc") {
            continue;
        }
        push_line(out, if direction_of(line).is_some() { "a=inactive" } else { line });
    }
}

fn present_carrying(block: &str, stream: &str, track: TrackId, stereo: Stereo, out: &mut String) {
    let opus = opus_payload_type(block);
    for line in lines(block) {
        if line.starts_with("a=msid:") || line.contains(" msid:") {
            continue;
        }
        if direction_of(line).is_some() {
            push_line(out, "a=sendonly");
            push_line(out, &format!("a=msid:{stream} {track}"));
            continue;
        }
        push_line(out, line);
        // Without it Chrome's decoder mixes the two channels into one.
        if stereo == Stereo::Stereo && is_fmtp_of(line, opus) {
            out.truncate(out.trim_end().len());
            push_line(out, ";stereo=1;sprop-stereo=1");
        }
    }
}

fn present_receiving(
    block: &str,
    features: TrackFeatures,
    prefer: Option<Codec>,
    out: &mut String,
) {
    let opus = opus_payload_type(block);
    for (index, line) in lines(block).enumerate() {
        if index == 0 {
            push_line(out, &ordered_media_line(block, line, features, prefer));
            continue;
        }
        if line.starts_with("a=msid:") || line.starts_with("a=ssrc") {
            continue;
        }
        if direction_of(line) == Some(SectionDirection::SendRecv) {
            push_line(out, "a=recvonly");
            continue;
        }
        push_line(out, line);
        if is_fmtp_of(line, opus) {
            out.truncate(out.trim_end().len());
            // An answer's parameters are wishes of the receiver: they shape what the client sends.
            if features.dtx == Dtx::On {
                out.push_str(";usedtx=1");
            }
            if features.stereo == Stereo::Stereo {
                out.push_str(";stereo=1;maxaveragebitrate=510000");
            }
            out.push_str("\r\n");
        }
    }
}

/// The `m=` line with the preferred codec's payload types first. libwebrtc sends the first one; it only sends
/// RED when that stands before Opus.
fn ordered_media_line(
    block: &str,
    line: &str,
    features: TrackFeatures,
    prefer: Option<Codec>,
) -> String {
    let pts = payload_types(block);
    let rank = |pt: &&str| match (codec_of(block, pt), prefer) {
        (Some(Codec::Red), _) if features.red == RedUse::Off => 2,
        (Some(Codec::Red), None) => 0,
        (Some(codec), Some(wanted)) if codec == wanted => 0,
        _ => 1,
    };
    let mut ordered = pts.clone();
    ordered.sort_by_key(rank);
    let head: Vec<&str> = line.split(' ').take(3).collect();
    format!("{} {}", head.join(" "), ordered.join(" "))
}

fn opus_payload_type(block: &str) -> Option<&str> {
    lines(block)
        .filter_map(rtpmap)
        .find(|(_, name)| name.eq_ignore_ascii_case("opus"))
        .map(|(pt, _)| pt)
}

fn is_fmtp_of(line: &str, pt: Option<&str>) -> bool {
    pt.is_some_and(|pt| {
        line.strip_prefix("a=fmtp:")
            .and_then(|rest| rest.strip_prefix(pt))
            .is_some_and(|rest| rest.starts_with(' '))
    })
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 63 111\r\na=mid:0\r\na=sendonly\r\na=msid:s mic-1\r\n\
        a=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10\r\na=ssrc:7 cname:x\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 98\r\na=mid:1\r\na=recvonly\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:98 AV1/90000\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

    fn track() -> TrackId {
        "TR_222222222222".parse().unwrap()
    }

    #[test]
    fn sections_show_track_direction_and_codecs() {
        let found = sections(OFFER);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].track, Some("mic-1"));
        assert_eq!(found[0].codecs, [Codec::Red, Codec::Opus]);
        assert!(found[0].direction.is_sending());
        assert_eq!(found[1].kind, Some(TrackKind::Video));
        assert_eq!(found[1].direction, SectionDirection::RecvOnly);
        assert_eq!(found[1].codecs, [Codec::Vp8, Codec::Av1]);
        assert_eq!((found[2].kind, found[2].mid), (None, "2"));
    }

    #[test]
    fn blocks_add_up_to_the_whole() {
        for text in [OFFER, "", "v=0", "\nm=", "m=audio\r\n", "\nm=\nm=\nm="] {
            assert_eq!(blocks(text).collect::<String>(), text);
            let _ = sections(text);
        }
    }

    #[test]
    fn unused_sections_are_inactive_and_nameless() {
        let out = present(OFFER, |mid| match mid {
            "0" => Presentation::Unused,
            _ => Presentation::Unchanged,
        });
        assert!(out.contains("a=mid:0\r\na=inactive\r\na=rtpmap:63"), "{out}");
        assert!(!out.contains("a=ssrc"));
    }

    #[test]
    fn carrying_and_receiving_sections_are_presented() {
        let out = present(OFFER, |mid| match mid {
            "0" => Presentation::Receives {
                features: TrackFeatures { red: RedUse::Off, ..TrackFeatures::default() },
                prefer: None,
            },
            "1" => Presentation::Carries {
                stream: "PA_2|camera".into(),
                track: track(),
                stereo: Stereo::Mono,
            },
            _ => Presentation::Unchanged,
        });
        expect![[r#"
            v=0
            o=- 1 2 IN IP4 127.0.0.1
            s=-
            m=audio 9 UDP/TLS/RTP/SAVPF 111 63
            a=mid:0
            a=sendonly
            a=rtpmap:63 red/48000/2
            a=rtpmap:111 opus/48000/2
            a=fmtp:111 minptime=10;usedtx=1
            m=video 9 UDP/TLS/RTP/SAVPF 96 97 98
            a=mid:1
            a=sendonly
            a=msid:PA_2|camera TR_222222222222
            a=rtpmap:96 VP8/90000
            a=rtpmap:97 rtx/90000
            a=rtpmap:98 AV1/90000
            m=application 9 UDP/DTLS/SCTP webrtc-datachannel
            a=mid:2
        "#]]
        .assert_eq(&out.replace("\r\n", "\n"));
    }

    #[test]
    fn the_preferred_codec_comes_first() {
        let out = present(OFFER, |mid| match mid {
            "1" => Presentation::Receives {
                features: TrackFeatures::default(),
                prefer: Some(Codec::Av1),
            },
            _ => Presentation::Unchanged,
        });
        assert!(out.contains("m=video 9 UDP/TLS/RTP/SAVPF 98 96 97"), "{out}");
    }
}
