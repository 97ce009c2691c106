/** A service of its own for each test: an empty database, and a clock that the test moves. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import type { components } from "../../../src/generated/openapi.js";
import type { EventType } from "../../../src/types.js";
import { type ServerClient, createServerClient } from "../../../src/server.js";
import { HOTEL, ROOT_KEY, USER } from "./known.js";
import { start } from "./processes.js";

type Schemas = components["schemas"];

export interface Service {
  plg: ServerClient;
  /** The newest first. */
  events(type?: EventType): Promise<Schemas["Event"][]>;
  /** Records this many exports. */
  exports(count: number): Promise<void>;
  limit(limits: Schemas["LimitOverrides"]): Promise<void>;
  /** Moves the clock to so many minutes after the start. */
  clock(minutes: number): Promise<void>;
  /** Lets requests wait, until `resume`. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
  restart(): Promise<void>;
  /** Stops it, and forgets everything. */
  dispose(): Promise<void>;
}

export async function startService(): Promise<Service> {
  const { apiPort, api, pages, binary, faketime } = inject("places");
  const folder = await mkdtemp(join(tmpdir(), "plg-browser-"));
  const clock = (minutes: number) => writeFile(join(folder, "clock"), `+${minutes}m\n`);
  await clock(0);

  const run = () =>
    start(binary, [], /listening on/, {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        DATABASE_URL: `sqlite://${folder}/plg.db?mode=rwc`,
        PLG__SERVER__PORT: `${apiPort}`,
        PLG__SERVER__CORS_ORIGINS: pages,
        PLG__ACCESS__ROOT_KEY: ROOT_KEY,
        PLG__ACCESS__SESSION_SECRET: "a-session-secret-for-the-browser-tests",
        LD_PRELOAD: faketime,
        FAKETIME_TIMESTAMP_FILE: join(folder, "clock"),
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      },
    });
  let running = await run();

  const plg = createServerClient({ baseUrl: api, serviceKey: ROOT_KEY });
  const headers = { authorization: `Bearer ${ROOT_KEY}`, "content-type": "application/json" };
  const hotel = `${api}/v1/hotels/${HOTEL}`;
  return {
    plg,
    clock,
    async events(type) {
      const query = type ? `?event_type=${type}` : "";
      const response = await fetch(`${hotel}/events${query}`, { headers });
      return ((await response.json()) as Schemas["EventList"]).events;
    },
    async exports(count) {
      for (let n = 0; n < count; n++) {
        const exportId = crypto.randomUUID();
        await plg.recordExport({ hotelId: HOTEL, userId: USER, exportId });
      }
    },
    async limit(limits) {
      const body = JSON.stringify({ plan: "standard", time_zone: "UTC", limits });
      const response = await fetch(hotel, { method: "PUT", headers, body });
      if (!response.ok) throw new Error(await response.text());
    },
    pause: () => running.signal("SIGSTOP"),
    resume: () => running.signal("SIGCONT"),
    async restart() {
      running = await run();
    },
    async stop() {
      await running.stop();
    },
    async dispose() {
      await running.stop();
      await rm(folder, { recursive: true });
    },
  };
}
