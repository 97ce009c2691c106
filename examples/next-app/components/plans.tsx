"use client";

import { usePlgClient, useUsage } from "@plg/client/react";
import { useState } from "react";

const PLANS = [
  {
    id: "standard",
    hint: "For a first look around",
    price: "€ 0",
    imports: 3,
    exports: 30,
    seats: 1,
  },
  {
    id: "superior",
    hint: "For a busy front desk",
    price: "€ 49",
    imports: 15,
    exports: 300,
    seats: 3,
  },
  {
    id: "deluxe",
    hint: "For a house with a team",
    price: "€ 129",
    imports: 50,
    exports: null,
    seats: 10,
  },
  {
    id: "suite",
    hint: "For groups of hotels",
    price: "€ 299",
    imports: null,
    exports: null,
    seats: null,
  },
];

const amount = (limit: number | null) => (limit === null ? "Unlimited" : limit);

export function Plans() {
  const plg = usePlgClient();
  const { usage } = useUsage();
  const [chosen, setChosen] = useState<string>();

  const choose = (plan: string) => {
    setChosen(plan);
    void plg.track("upgrade_click", { eventData: { plan } });
  };

  return (
    <section className="plans">
      {PLANS.map(({ id, hint, price, imports, exports, seats }) => {
        const current = usage?.plan === id;
        return (
          <article className="card plan-card" key={id} data-current={current || undefined}>
            <h2>{id}</h2>
            <p>{hint}</p>
            <strong>
              {price} <small>a month</small>
            </strong>
            <ul>
              <li>{amount(imports)} imports</li>
              <li>{amount(exports)} exports</li>
              <li>
                {amount(seats)} {seats === 1 ? "seat" : "seats"}
              </li>
            </ul>
            <button
              className={current ? undefined : "primary"}
              disabled={current}
              onClick={() => choose(id)}
            >
              {current ? "Your plan" : chosen === id ? "We will be in touch" : "Choose"}
            </button>
          </article>
        );
      })}
    </section>
  );
}
