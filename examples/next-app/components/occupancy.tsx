const NIGHTS = [71, 64, 58, 83, 96, 98, 79, 68, 72, 77, 91, 100, 97, 88];

const weekday = (night: number) => ["Tu", "We", "Th", "Fr", "Sa", "Su", "Mo"][night % 7];

export function Occupancy() {
  return (
    <section className="card">
      <h2>Occupancy by night</h2>
      <ol className="bars">
        {NIGHTS.map((percent, night) => (
          <li key={night} title={`${percent} %`}>
            <span style={{ height: `${percent}%` }} data-full={percent >= 95 || undefined} />
            {weekday(night)}
          </li>
        ))}
      </ol>
    </section>
  );
}
