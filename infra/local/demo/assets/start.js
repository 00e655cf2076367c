import { clockButtons, element, fill, flip, poll, showClock } from "./live.js";

const get = (id) => document.getElementById(id);

function show(state) {
  get("import").hidden = state.import.complete;
  get("import-text").textContent = state.import.text;
  get("import-bar").max = state.import.total || 1;
  get("import-bar").value = state.import.sent;
  get("esp-received").textContent = state.esp.received.toLocaleString("en-GB");
  fill(get("esp-counts"), state.esp.segments, (segment) => {
    const row = element("tr");
    const name = element("th", segment.title);
    name.scope = "row";
    name.title = segment.description;
    row.append(name, element("td", segment.entered), element("td", segment.left));
    return row;
  });
  fill(get("esp-log"), state.esp.latest, (one) => flip(one, true));
  get("esp-none").hidden = state.esp.latest.length > 0;
  showClock(state.clock);
}

const ask = poll("/demo/state", show);
clockButtons(ask);
