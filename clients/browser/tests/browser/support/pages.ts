/** A server of pages that know no bundler, of another origin than the service. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServerClient } from "../../../src/server.js";
import { HOTEL, ROOT_KEY, USER } from "./known.js";

const FILES: Record<string, [url: URL, type: string]> = {
  "/": [new URL("../pages/plain.html", import.meta.url), "text/html"],
};

export async function startPages(api: string): Promise<{ url: string; stop(): Promise<void> }> {
  const plg = createServerClient({ baseUrl: api, serviceKey: ROOT_KEY });
  const server = createServer(async (request, response) => {
    const file = FILES[request.url!];
    if (request.url === "/token") {
      const minted = plg.createSessionToken({ hotelId: HOTEL, userId: USER });
      const refuse = () => response.writeHead(503).end();
      await minted.then((token) => response.end(JSON.stringify(token)), refuse);
    } else if (file) {
      const text = await readFile(file[0], "utf8");
      response.setHeader("content-type", file[1]).end(text.replaceAll("{{api}}", api));
    } else {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
