"use strict";
// Filters of the galleries. Without scripts everything is there but these.

function fill(view, layer) {
  const wanted = layer === "main" ? view.dataset.main : layer;
  const radios = [...view.querySelectorAll(".layers input")];
  const found = radios.find((radio) => radio.value === wanted)
    ?? radios.find((radio) => radio.value === view.dataset.main);
  found.checked = true;
}

function filter(gallery, form) {
  const { class: wantedClass, method, outcome } = form.elements;
  const counts = { shown: 0, hit: 0, miss: 0 };
  for (const card of gallery.querySelectorAll(".card")) {
    const views = [...card.querySelectorAll(".view")];
    for (const view of views) view.hidden = view.dataset.method !== method.value;
    const outcomes = views.find((view) => !view.hidden).dataset.outcome.split(" ");
    card.hidden = (wantedClass.value !== "" && card.dataset.class !== wantedClass.value)
      || Boolean(outcome?.value) && !outcomes.includes(outcome.value);
    if (card.hidden) continue;
    counts.shown += 1;
    for (const name of ["hit", "miss"]) counts[name] += outcomes.includes(name);
  }
  const all = gallery.querySelectorAll(".card").length;
  const judged = outcome ? `: ${counts.hit} hit, ${counts.miss} missed` : "";
  form.querySelector("output").textContent = `${counts.shown} of ${all} pictures${judged}`;
}

for (const gallery of document.querySelectorAll(".gallery")) {
  const form = gallery.querySelector(".filters");
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    if (event.target.name === "layer") {
      for (const view of gallery.querySelectorAll(".view")) fill(view, event.target.value);
    }
    filter(gallery, form);
  });
  filter(gallery, form);
}

// Print what is folded, too.
const folded = document.querySelectorAll("details:not([open])");
addEventListener("beforeprint", () => folded.forEach((each) => { each.open = true; }));
addEventListener("afterprint", () => folded.forEach((each) => { each.open = false; }));

