(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("js");
  var samples = JSON.parse(document.getElementById("samples").textContent);
  var all = function (query, within) { return Array.prototype.slice.call((within || document).querySelectorAll(query)); };

  var theme = document.getElementById("theme");
  var setTheme = function (name) { root.setAttribute("data-theme", name); };
  theme.hidden = false;
  theme.addEventListener("click", function () {
    var dark = getComputedStyle(root).colorScheme === "dark";
    setTheme(dark ? "light" : "dark");
  });

  var buttons = all("#chooser button");
  var panels = all(".panel");
  function choose(index) {
    panels.forEach(function (panel, at) { panel.classList.toggle("shown", at === index); });
    buttons.forEach(function (button, at) { button.setAttribute("aria-pressed", String(at === index)); });
  }
  buttons.forEach(function (button, index) { button.addEventListener("click", function () { choose(index); }); });
  function fromAddress() {
    var parts = location.hash.slice(1).split(",");
    parts.forEach(function (part) { if (part === "dark" || part === "light") { setTheme(part); } });
    var index = panels.findIndex(function (panel) { return panel.id === parts[0]; });
    if (index >= 0) { choose(index); document.getElementById("chooser").scrollIntoView(); }
    return index;
  }
  choose(0);
  fromAddress();
  window.addEventListener("hashchange", fromAddress);

  all(".sort button").forEach(function (button) {
    button.addEventListener("click", function () {
      var card = button.closest(".card");
      var body = card.querySelector("tbody");
      var by = button.getAttribute("data-by");
      var sign = button.getAttribute("data-sign") === "-" ? -1 : 1;
      var rows = all("tr", body);
      rows.sort(function (one, other) { return sign * (Number(one.getAttribute("data-" + by)) - Number(other.getAttribute("data-" + by))); });
      rows.forEach(function (row) { body.appendChild(row); });
      all(".sort button", card).forEach(function (each) { each.setAttribute("aria-pressed", String(each === button)); });
    });
  });

  var tip = document.getElementById("tip");
  function line(label, value) {
    var row = document.createElement("div");
    var name = document.createElement("span");
    var amount = document.createElement("b");
    name.textContent = label;
    amount.textContent = value;
    row.appendChild(name);
    row.appendChild(amount);
    return row;
  }
  function hide() {
    tip.hidden = true;
    all(".cursor").forEach(function (cursor) { cursor.style.display = "none"; });
  }
  function show(event, figure, plot) {
    var rows = samples.charts[figure.getAttribute("data-key")];
    var box = plot.getBoundingClientRect();
    var fraction = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    var index = Math.round(fraction * (samples.count - 1));
    var at = samples.start_ms + (samples.end_ms - samples.start_ms) * index / (samples.count - 1);
    var left = (100 * index / (samples.count - 1)) + "%";
    all(".cursor").forEach(function (cursor) { cursor.style.left = left; cursor.style.display = "block"; });
    tip.textContent = "";
    var when = document.createElement("div");
    when.className = "t";
    when.textContent = new Date(at).toISOString().slice(0, 16).replace("T", " ") + " UTC";
    tip.appendChild(when);
    (rows || []).forEach(function (row) {
      var value = samples.arrays[row[3]][index];
      if (value !== null) { tip.appendChild(line(row[0], value.toFixed(row[2]) + " " + row[1])); }
    });
    tip.hidden = false;
    var width = tip.offsetWidth;
    var x = event.clientX + 16 + width > window.innerWidth ? event.clientX - width - 16 : event.clientX + 16;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8)) + "px";
  }
  all("figure.chart[data-key]").forEach(function (figure) {
    var plot = figure.querySelector(".plot");
    plot.addEventListener("pointermove", function (event) { show(event, figure, plot); });
    plot.addEventListener("pointerdown", function (event) { show(event, figure, plot); });
    plot.addEventListener("pointerleave", hide);
  });
  window.addEventListener("scroll", function () { tip.hidden = true; }, {passive: true});
})();
