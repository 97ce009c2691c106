import { Actions } from "@/components/actions";
import { Occupancy } from "@/components/occupancy";
import { TrackView } from "@/components/track-view";
import { UsagePanel } from "@/components/usage-panel";

const FIGURES = [
  {
    label: "Occupancy",
    value: "82 %",
    change: "+6 pts",
    note: "next 14 nights",
  },
  {
    label: "Average rate",
    value: "€ 148",
    change: "+4 %",
    note: "per room night",
  },
  {
    label: "RevPAR",
    value: "€ 121",
    change: "+11 %",
    note: "on last year",
  },
];

export default function Dashboard() {
  return (
    <>
      <TrackView event="dashboard_view_session" />
      <div className="heading">
        <div>
          <h1>Good afternoon, Anna</h1>
          <p>Tuesday, 24 November · 46 rooms</p>
        </div>
        <Actions />
      </div>
      <div className="columns">
        <div className="stack">
          <section className="figures">
            {FIGURES.map(({ label, value, change, note }) => (
              <article className="card figure" key={label}>
                <h2>{label}</h2>
                <strong>{value}</strong>
                <p>
                  <em>{change}</em> {note}
                </p>
              </article>
            ))}
          </section>
          <Occupancy />
        </div>
        <UsagePanel />
      </div>
    </>
  );
}
