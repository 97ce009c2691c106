/** The day on which a month begins, at the hotel. */
export const day = (time: string, timeZone: string | undefined) =>
  new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "long", timeZone });
