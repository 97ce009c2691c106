/** The day on which a month begins. */
export const day = (time: string) =>
  new Date(time).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    timeZone: "UTC",
  });
