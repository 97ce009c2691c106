import type { NextConfig } from "next";
import { PLG_URL } from "./lib/settings";

const config: NextConfig = {
  // Pages reach the service through the app: no other origin, so no CORS and no preflights.
  rewrites: async () => [{ source: "/plg/:path*", destination: `${PLG_URL}/:path*` }],
  devIndicators: false,
};

export default config;
