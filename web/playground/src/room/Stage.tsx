import { type TrackReferenceOrPlaceholder, useTracks } from "@livekit/components-react";
import { IconButton } from "@sparkrtc/ui/components/Button";
import { RoomEvent, Track } from "livekit-client";
import { useState } from "react";
import { useWords } from "../useWords.ts";
import { gridOf, pageOf, tilesPerPage } from "./layout.ts";
import { Tile } from "./Tile.tsx";
import { useSize } from "./useSize.ts";

/** All cameras in a grid; a shared screen or a pinned tile large, with the others beside it. */
export function Stage({ onStopSharing }: { onStopSharing: () => void }) {
  const words = useWords();
  const tracks = useTracks(
    [
      { source: Track.Source.Camera, withPlaceholder: true },
      { source: Track.Source.ScreenShare, withPlaceholder: false },
    ],
    { onlySubscribed: false, updateOnlyOn: [RoomEvent.TrackStreamStateChanged] },
  );
  // `undefined`: as it comes, a shared screen large. `null`: the grid was asked for.
  const [pinned, setPinned] = useState<string | null>();
  const [page, setPage] = useState(0);
  const [place, size] = useSize<HTMLDivElement>();

  const ordered = [...tracks].sort(byStanding);
  const focus = focusOf(ordered, pinned);
  const others = focus ? ordered.filter((track) => track !== focus) : ordered;
  const tileProps = (trackRef: TrackReferenceOrPlaceholder) => ({
    trackRef,
    isPinned: trackRef === focus,
    onPin: () => setPinned(trackRef === focus ? null : keyOf(trackRef)),
    onStopSharing,
  });

  if (focus) {
    return (
      <div className="stage stage-focus">
        <ul className="stage-large">
          <Tile key={keyOf(focus)} {...tileProps(focus)} />
        </ul>
        {others.length > 0 && (
          <ul className="stage-strip">
            {others.map((trackRef) => (
              <Tile key={keyOf(trackRef)} {...tileProps(trackRef)} />
            ))}
          </ul>
        )}
      </div>
    );
  }

  const shown = pageOf(others, page, tilesPerPage(others.length, size));
  const grid = gridOf(shown.items.length, size);
  return (
    <div className="stage">
      <div ref={place} className="stage-place">
        <ul
          className="stage-grid"
          style={{
            gridTemplateColumns: `repeat(${grid.columns * 2}, ${grid.tileWidth / 2 - 4}px)`,
          }}
        >
          {shown.items.map((trackRef, index) => (
            <Tile
              key={keyOf(trackRef)}
              {...tileProps(trackRef)}
              style={{
                height: grid.tileHeight,
                gridColumn: columnOf(index, shown.items.length, grid.columns),
              }}
            />
          ))}
        </ul>
      </div>
      {shown.pages > 1 && (
        <nav className="stage-pages">
          <IconButton
            icon="previous"
            label={words.say("previousPage")}
            disabled={shown.page === 0}
            onClick={() => setPage(shown.page - 1)}
          />
          <span>{words.say("pageOf", { page: shown.page + 1, pages: shown.pages })}</span>
          <IconButton
            icon="next"
            label={words.say("nextPage")}
            disabled={shown.page === shown.pages - 1}
            onClick={() => setPage(shown.page + 1)}
          />
        </nav>
      )}
    </div>
  );
}

function keyOf({ participant, source }: TrackReferenceOrPlaceholder): string {
  return `${participant.identity}/${source}`;
}

/** The pinned tile while it is there, else the newest screen of somebody else. */
function focusOf(
  tracks: readonly TrackReferenceOrPlaceholder[],
  pinned: string | null | undefined,
): TrackReferenceOrPlaceholder | undefined {
  if (pinned === null) return undefined;
  return (
    tracks.find((track) => keyOf(track) === pinned) ??
    tracks.find((track) => track.source === Track.Source.ScreenShare && !track.participant.isLocal)
  );
}

/** Screens first, then others in the order they came, oneself last: nobody jumps when somebody joins. */
function byStanding(a: TrackReferenceOrPlaceholder, b: TrackReferenceOrPlaceholder): number {
  const rank = ({ source, participant }: TrackReferenceOrPlaceholder) =>
    source === Track.Source.ScreenShare ? 0 : participant.isLocal ? 2 : 1;
  const came = ({ participant }: TrackReferenceOrPlaceholder) =>
    participant.joinedAt?.getTime() ?? 0;
  return rank(a) - rank(b) || came(a) - came(b) || keyOf(a).localeCompare(keyOf(b));
}

/** Each tile spans two half columns, so that an unfilled last row can be centred by one half. */
function columnOf(index: number, count: number, columns: number): string {
  const inLastRow = count % columns;
  const isFirstOfLastRow = inLastRow !== 0 && index === count - inLastRow;
  return isFirstOfLastRow ? `${columns - inLastRow + 1} / span 2` : "span 2";
}
