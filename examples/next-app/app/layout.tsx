import type { Metadata } from "next";
import type { ReactNode } from "react";
import { Tabs } from "@/components/tabs";
import "./globals.css";
import { Providers } from "./providers";

export const metadata: Metadata = {
  title: "Hotel Seeblick",
  description: "An example of product events and quotas",
  icons: "data:,",
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <Providers>
          <header className="topbar">
            <div className="brand">
              <span className="logo" aria-hidden />
              Hotel Seeblick
            </div>
            <Tabs />
            <span className="avatar" title="Anna Berger">
              AB
            </span>
          </header>
          <main>{children}</main>
        </Providers>
      </body>
    </html>
  );
}
