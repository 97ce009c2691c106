/** The day on which a month begins. */
export const day = (time: string) =>
  new Date(time).toLocaleDateString("en", {
    day: "numeric",
    month: "long",
    timeZone: "UTC",
  });
