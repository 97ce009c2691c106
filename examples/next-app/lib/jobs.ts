/** Stands for your own table of jobs, under way or done, by hotel, kind and id. */
const jobs = new Map<string, Promise<unknown>>();

/** Does a job once, and again only if it failed. */
export function once<T>(key: string, work: () => Promise<T>): Promise<T> {
  const known = jobs.get(key) as Promise<T> | undefined;
  if (known) return known;
  const job = work();
  jobs.set(key, job);
  job.catch(() => jobs.delete(key));
  return job;
}
