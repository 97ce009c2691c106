"use client";

import { useTrackView } from "@plg/client/react";

type View = Parameters<typeof useTrackView>[0];

/** Logs a view of the page that it stands in, which may be a server component. */
export function TrackView({ event }: { event: View }) {
  useTrackView(event);
  return null;
}
