/** Step 5: the score, what it means, and where the viewer looked. */

import { drawScale, drawTrace } from "./charts.js";
import { isTemporary } from "./gaze-client.js";
import { hasText, setText, t } from "./i18n.js";
import { makeNumber } from "./step-calibration.js";
import { reopen } from "./step-start.js";
import { setUpWhere } from "./score-where.js";

const byId = (id) => document.getElementById(id);

/** Returns the name of the sentence that says what a score means. */
export function judge({ final_score: score, chance_level: chance, interval_95: interval }) {
  if (!interval) return "unsure";
  if (interval[0] > chance) return "above";
  if (interval[1] < chance) return "below";
  return Math.abs(score - chance) < 5 ? "near" : "unsure";
}

export function setUpScore(studio) {
  const where = setUpWhere();
  let result = null;
  let resultUrl = null;

  const draw = () => {
    const { viewing } = studio;
    const counts = viewing.queue.counts;
    const { film_id: filmId, title } = studio.film;
    setText(byId("score-film"), "score.film", { title: filmId === "sample" ? t("watch.sample") : title });
    const number = byId("score-number");
    if (result.score_valid) {
      number.textContent = Math.round(result.final_score);
      const chance = result.chance_level?.toFixed(0) ?? "–";
      const meaning = t("score.meaning", { score: Math.round(result.final_score), chance });
      byId("score-meaning").textContent = `${meaning} ${t(`score.${judge(result)}`)}`;
    } else {
      number.textContent = "–";
      const reason = `reason.${result.score_invalid_reason}`;
      byId("score-meaning").textContent = t("score.invalid", { reason: t(hasText(reason) ? reason : "reason.other") });
    }
    number.toggleAttribute("data-none", !result.score_valid);
    byId("score-scale").toggleAttribute("hidden", !result.score_valid);
    drawScale(byId("score-scale"), result);
    drawNumbers();
    drawCoverage(counts);
    const warnings = (result.warnings ?? []).map((each) => {
      // A later version may have more; what it says is in English.
      return hasText(`warning.${each.code}`) ? { textContent: t(`warning.${each.code}`, each) } : { textContent: each.detail, lang: "en" };
    });
    if (result.calibration?.other_viewer?.suspected) warnings.push({ textContent: t("person.other") });
    byId("warnings").replaceChildren(...warnings.map((each) => Object.assign(document.createElement("li"), each)));
    drawTrace(byId("trace"), viewing.points, result.trace);
    where.draw();
  };

  const drawNumbers = () => {
    const interval = result.interval_95?.map((each) => each.toFixed(0)).join("–") ?? "–";
    let note = "";
    if (!result.interval_95) note = t("score.intervalNone");
    else if (!result.interval_reliable) note = t("score.intervalRough");
    const lift = result.lift_points;
    const error = result.calibration?.used ? studio.calibrationResult?.errorDeg : null;
    const hasLift = lift !== null && lift !== undefined;
    const entries = [
      [t("score.interval"), interval, note],
      [t("score.lift"), hasLift ? `${lift > 0 ? "+" : ""}${lift.toFixed(0)}` : "–", hasLift ? t("score.points") : ""],
      [t("score.coverageShare"), t("percent", { value: Math.round(100 * result.coverage) }), ""],
      [t("score.nss"), result.nss ? result.nss.value.toFixed(2) : "–", t("score.nssText")],
      [t("score.accuracy"), error ? `${error.toFixed(1)}°` : t("score.none"), error ? t("score.accuracyText") : ""],
    ];
    byId("numbers").replaceChildren(...entries.map(makeNumber));
  };

  const drawCoverage = (counts) => {
    const rows = [
      ["frames.expected", result.frames.expected],
      ["frames.scored", result.frames.scored],
      // Refused images count as missing in the result.
      ...Object.entries({ ...result.lost, missing: Math.max(0, result.lost.missing - counts.refused) }).map(
        ([name, count]) => [`lost.${name}`, count],
      ),
      ["lost.refused", counts.refused],
      ["lost.dropped", counts.dropped],
    ].filter(([name, count]) => count || name.startsWith("frames."));
    byId("coverage").replaceChildren(
      ...rows.map(([name, count]) => {
        const row = document.createElement("tr");
        const heading = Object.assign(document.createElement("th"), { scope: "row", textContent: t(name) });
        row.append(heading, Object.assign(document.createElement("td"), { textContent: count }));
        return row;
      }),
    );
  };

  byId("make-overlay").addEventListener("click", () => studio.overlays.make(studio.viewing.session.sessionId));
  byId("again").addEventListener("click", async () => {
    if (await reopen(studio)) await studio.go("watch");
  });
  byId("retry").addEventListener("click", () => compute(studio.viewing));
  byId("start-over").addEventListener("click", () => studio.go("start"));
  window.addEventListener("resize", () => {
    if (result && studio.current === "score") draw();
  });

  const compute = async (viewing) => {
    const isLeft = () => studio.current !== "score" || studio.viewing !== viewing;
    studio.hideError();
    byId("retry").hidden = true;
    byId("again").hidden = true;
    byId("score-wait").hidden = false;
    setText(byId("score-wait"), "score.computing");
    try {
      const completed = await viewing.complete();
      if (isLeft()) return;
      result = completed;
    } catch (error) {
      if (isLeft()) return;
      byId("score-wait").hidden = true;
      byId("again").hidden = false;
      // The session is still there.
      byId("retry").hidden = !isTemporary(error?.status);
      if (error?.isSessionLost) studio.showError("error.scoreLost");
      else studio.showFailure(error);
      return;
    }
    if (resultUrl) URL.revokeObjectURL(resultUrl);
    resultUrl = URL.createObjectURL(new Blob([JSON.stringify(result, null, 1)], { type: "application/json" }));
    byId("get-json").href = resultUrl;
    byId("get-json").download = "result.json";
    const files = `/api/sessions/${encodeURIComponent(viewing.session.sessionId)}`;
    byId("get-csv").href = `${files}/trace.csv`;
    byId("get-report").href = `${files}/report.html`;
    byId("score-wait").hidden = true;
    byId("score-body").hidden = false;
    byId("again").hidden = false;
    where.show(viewing, result, files);
    draw();
    studio.announce(`${t("score.title")}: ${byId("score-number").textContent}. ${byId("score-meaning").textContent}`);
  };

  return {
    enter() {
      result = null;
      byId("score-body").hidden = true;
      for (const [kind, key] of [["trouble", "score.trouble"], ["recovery", "score.computing"]]) {
        studio.viewing.addEventListener(kind, () => setText(byId("score-wait"), key));
      }
      // The camera is not needed any more.
      studio.release();
      // Not awaited: the full screen ends meanwhile.
      compute(studio.viewing).catch((error) => studio.showFailure(error));
    },
    leave() {
      if (!result) studio.viewing.abort();
    },
    translate() {
      if (result) draw();
    },
  };
}
