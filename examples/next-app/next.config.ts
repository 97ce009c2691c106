import type { NextConfig } from "next";
import { PLG_URL } from "./lib/settings";

const config: NextConfig = {
  // Pages reach the service's API through the app: no other origin, so no CORS and no preflights.
  rewrites: async () => [{ source: "/plg/v1/:path*", destination: `${PLG_URL}/v1/:path*` }],
  devIndicators: false,
};

export default config;
