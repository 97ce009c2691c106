import { Plans } from "@/components/plans";
import { TrackView } from "@/components/track-view";

export default function Pricing() {
  return (
    <>
      <TrackView event="pricing_tab_session_view" />
      <div className="heading">
        <div>
          <h1>Plans that grow with your house</h1>
          <p>Change at any time. An upgrade takes effect with your next click.</p>
        </div>
      </div>
      <Plans />
    </>
  );
}
