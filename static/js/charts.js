// Draws every [data-tg-chart] from the JSON beside it: SVG, no animation, colours from the tokens, redrawn when the theme
// changes. The table under each chart holds the same figures for those who cannot see or point.
(() => {
  const charts = new Map();
  const HATCH = { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1.4, 3], rotation: -Math.PI / 4 };

  // A probe turns a token, which may hold var() or color-mix(), into a plain colour.
  const probe = document.createElement("span");
  probe.hidden = true;
  function colour(token) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(--tg-${token.replaceAll("_", "-")})`;
    return getComputedStyle(probe).color;
  }
  const faint = (rgb, alpha) => rgb.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);

  // --- Figures, as apps/web/figures.py writes them -------------------------------------------------------------------
  const trim = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  const grouped = (size, digits) => size.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  // Never scientific: as many decimals as three significant digits of a small number need.
  const small = (size) => size.toFixed(Math.min(18, Math.max(2, 2 - Math.floor(Math.log10(size)))));
  function scaled(size) {
    for (const [scale, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
      if (size >= scale * 0.9995) return trim((size / scale).toPrecision(3).replace(/e.*/, "")) + letter;
    }
    return trim(size < 1 && size > 0 ? small(size) : grouped(size, size < 100 ? 2 : 0));
  }
  function amount(size) {
    if (size === 0) return "0";
    return size >= 100 ? grouped(size, 0) : size >= 1 ? grouped(size, 2) : small(size);
  }
  function duration(ms) {
    if (ms < 1000) return `${Math.round(ms)} ms`;
    return ms < 120000 ? `${trim((ms / 1000).toPrecision(3))} s` : `${trim((ms / 60000).toFixed(1))} min`;
  }
  const atLeastCents = (size) => (size >= 100 ? scaled(size) : size.toFixed(5).replace(/(\.\d\d\d*?)0+$/, "$1"));
  // Ticks of one axis share their unit: seconds from 1 s on, cents for prices.
  function tick(size, data) {
    if (data.unit === "percent") return `${trim((size * 100).toFixed(1))}%`;
    if (data.unit === "latency") return size === 0 ? "0" : data.top < 1000 ? `${size} ms` : size < 1000 ? `${trim((size / 1000).toFixed(2))} s` : duration(size);
    if (data.unit === "unit_price") return data.symbol + atLeastCents(size);
    return (data.unit === "money" ? data.symbol : "") + scaled(size);
  }
  function figure(value, data, isTick) {
    if (value === null || value === undefined) return "–";
    const sign = value < 0 ? "−" : "";
    const size = Math.abs(value);
    if (isTick) return sign + tick(size, data);
    if (data.unit === "percent") return `${sign}${trim((size * 100).toFixed(1))}%`;
    if (data.unit === "latency") return sign + duration(size);
    const isMoney = data.unit === "money" || data.unit === "unit_price";
    const text = isMoney ? amount(size) : grouped(size, 0);
    return sign + (isMoney ? data.symbol : "") + text;
  }

  // --- Parts of an option -----------------------------------------------------------------------------------------------
  const type = () => ({ fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, color: colour("ink-3") });
  function valueAxis(data) {
    return {
      type: "value", splitNumber: 4, min: (range) => Math.min(0, range.min),
      axisLabel: { ...type(), formatter: (value) => figure(value, data, true) }, axisLine: { show: false }, axisTick: { show: false },
      splitLine: { lineStyle: { color: colour("line"), width: 1 } },
    };
  }
  function categoryAxis(data) {
    return {
      type: "category", data: data.categories, boundaryGap: data.kind !== "lines", axisLabel: { ...type(), hideOverlap: true, interval: data.categories.length <= 14 ? 0 : "auto" },
      axisTick: { show: false }, axisLine: { lineStyle: { color: colour("line-2") } },
    };
  }
  function layer(series, data, index) {
    return data.kind === "lines" ? line(series, data) : bars(series, data, index);
  }
  function line(series, data) {
    const ink = colour(series.tone);
    return {
      name: series.label, type: "line", data: series.values, showSymbol: series.values.filter((v) => v !== null).length === 1, symbolSize: 5,
      lineStyle: { color: ink, width: 2.25, type: series.dashed ? "dashed" : "solid" }, itemStyle: { color: ink }, connectNulls: false,
      endLabel: {
        show: true, ...type(), fontSize: 12, fontWeight: 600, color: ink, distance: 8,
        formatter: (point) => `${series.label}  ${data.unit === "money" ? figure(point.value, data, true) : figure(point.value, data, false)}`,
      },
      labelLayout: { moveOverlap: "shiftY" }, emphasis: { disabled: true },
    };
  }
  function bars(series, data, index) {
    const ink = colour(series.tone);
    const isRow = data.kind === "rows";
    return {
      name: series.label, type: "bar", stack: "all", barMaxWidth: isRow ? 14 : 34, barCategoryGap: isRow ? "40%" : "32%",
      itemStyle: { color: ink, borderColor: colour("surface"), borderWidth: 0.75, borderRadius: data.series.length === 1 ? 2 : 0 },
      data: series.values.map((value, at) => ({
        value, itemStyle: series.hatched || data.incomplete.includes(at) ? { decal: { ...HATCH, color: colour("surface") } } : undefined,
      })),
      label: isRow && index === data.series.length - 1
        ? { show: true, position: "right", ...type(), fontWeight: 600, color: colour("ink"), formatter: (point) => (data.signed && total(data, point.dataIndex) > 0 ? "+" : "") + figure(total(data, point.dataIndex), data, false) }
        : undefined,
      emphasis: { disabled: true },
    };
  }
  const total = (data, at) => data.series.reduce((sum, series) => sum + (series.values[at] ?? 0), 0);

  // From list price to full cost: each bar begins where the one before ended; the last one is their sum.
  function waterfall(data) {
    const values = data.series[0].values;
    let reached = 0;
    const from = [], steps = [];
    values.forEach((value, at) => {
      const isSum = at === values.length - 1;
      from.push(isSum ? 0 : Math.min(reached, reached + value));
      steps.push({
        value: Math.abs(value),
        itemStyle: { color: colour(data.tones[at] ?? (isSum ? "cost" : "token")), borderRadius: 2, decal: data.hatched.includes(at) ? { ...HATCH, color: colour("surface") } : undefined },
      });
      if (!isSum) reached += value;
    });
    const label = (point) => (point.dataIndex && point.dataIndex < values.length - 1 && values[point.dataIndex] > 0 ? "+" : "") + figure(values[point.dataIndex], data, false);
    return [
      { type: "bar", stack: "all", silent: true, data: from, itemStyle: { color: "transparent" }, barMaxWidth: 14 },
      { type: "bar", stack: "all", data: steps, barMaxWidth: 14, emphasis: { disabled: true }, label: { show: true, position: "right", ...type(), fontWeight: 600, color: colour("ink"), formatter: label } },
    ];
  }
  function band(data) {
    if (!data.band) return [];
    const ink = colour(data.band.tone);
    const spread = data.band.high.map((high, at) => (high === null || data.band.low[at] === null ? null : high - data.band.low[at]));
    const hidden = { type: "line", stack: "band", symbol: "none", silent: true, lineStyle: { opacity: 0 }, emphasis: { disabled: true }, tooltip: { show: false } };
    return [{ ...hidden, data: data.band.low }, { ...hidden, data: spread, areaStyle: { color: ink, opacity: 0.13 } }];
  }
  function limits(data) {
    return {
      silent: true, symbol: "none",
      data: [
        ...data.limits.map((limit) => ({
          yAxis: limit.value, lineStyle: { color: colour(limit.tone), type: "dashed", width: 1.5 },
          label: { ...type(), fontWeight: 600, color: colour(limit.tone), position: "insideStartTop", formatter: limit.label },
        })),
        ...data.marks.map((mark) => ({
          xAxis: mark.at, lineStyle: { color: colour("line-2"), type: "dashed", width: 1 },
          label: { ...type(), fontWeight: 600, color: colour("ink-2"), backgroundColor: colour("surface"), borderColor: colour("line-2"), borderWidth: 1, borderRadius: 9, padding: [3, 7], formatter: mark.letter },
        })),
      ],
    };
  }
  function areas(data) {
    const beyond = data.limits.filter((limit) => limit.tinted).map((limit) => [{ yAxis: limit.value, itemStyle: { color: faint(colour(limit.tone), 0.05) } }, { yAxis: Infinity }]);
    const first = Math.min(...data.incomplete);
    const arriving = data.kind === "lines" && data.incomplete.length
      ? [[{ xAxis: Math.max(first - 1, 0), itemStyle: { color: faint(colour("ink-3"), 0.08), decal: { ...HATCH, color: faint(colour("ink-3"), 0.25) } } }, { xAxis: Math.max(...data.incomplete) }]]
      : [];
    return { silent: true, data: [...beyond, ...arriving] };
  }

  // --- Tooltip: built of nodes, since the content policy forbids style attributes in HTML --------------------------------
  function tip(data) {
    return (points) => {
      const at = [].concat(points)[0].dataIndex;
      const box = document.createElement("div");
      box.className = "tg-tip";
      const head = document.createElement("b");
      head.textContent = data.categories[at] + (data.incomplete.includes(at) ? ", so far" : "");
      const table = document.createElement("table");
      const row = (name, value) => { const line = table.insertRow(); line.insertCell().textContent = name; line.insertCell().textContent = value; };
      data.series.forEach((series) => { if (series.values[at]) row(series.label, figure(series.values[at], data, false)); });
      if (data.kind === "bars" && data.series.length > 1) row("Total", figure(total(data, at), data, false));
      box.append(head, table);
      return box;
    };
  }

  function option(data) {
    const isSideways = data.kind === "rows" || data.kind === "waterfall";
    const layers = data.kind === "waterfall" ? waterfall(data) : [...band(data), ...data.series.map((series, index) => layer(series, data, index))];
    const main = layers.at(-1);
    main.markLine = limits(data);
    main.markArea = areas(data);
    const axes = [categoryAxis(data), valueAxis(data)];
    if (isSideways) {
      Object.assign(axes[0], { inverse: true, axisLine: { show: false }, axisLabel: { ...type(), fontSize: 12, color: colour("ink-2"), width: 150, overflow: "truncate" } });
      axes[1].splitLine.show = true;
    }
    return {
      animation: false, aria: { enabled: false, decal: { show: true } }, textStyle: type(),
      grid: { left: 8, right: data.kind === "lines" ? 128 : isSideways ? 72 : 12, top: data.marks.length ? 34 : 14, bottom: 8, containLabel: true },
      xAxis: isSideways ? axes[1] : axes[0], yAxis: isSideways ? axes[0] : axes[1], series: layers,
      tooltip: {
        trigger: "axis", confine: true, transitionDuration: 0, className: "tg-tip-holder", borderWidth: 0, padding: 0, backgroundColor: "transparent", extraCssText: "",
        axisPointer: { type: data.kind === "lines" ? "line" : "shadow", lineStyle: { color: colour("line-3") }, shadowStyle: { color: faint(colour("ink-3"), 0.08) }, animation: false },
        formatter: tip(data),
      },
    };
  }

  // --- Life of a chart ------------------------------------------------------------------------------------------------------
  function draw(element) {
    const source = document.getElementById(element.dataset.tgChart);
    if (!source || charts.has(element)) return;
    const data = JSON.parse(source.textContent);
    data.top = Math.max(...data.series.flatMap((series) => series.values.map((value) => Math.abs(value ?? 0))));
    const chart = echarts.init(element, null, { renderer: "svg" });
    chart.setOption(option(data));
    charts.set(element, { chart, data });
    new ResizeObserver(() => chart.resize()).observe(element);
    element.addEventListener("keydown", (event) => walk(event, chart, data, element));
    element.addEventListener("blur", () => chart.dispatchAction({ type: "hideTip" }));
    chart.on("click", (point) => { if (data.links[point.dataIndex]) location.assign(data.links[point.dataIndex]); });
  }
  // Arrow keys move the tooltip from figure to figure.
  function walk(event, chart, data, element) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const at = Math.min(Math.max(Number(element.dataset.tgAt ?? (by > 0 ? -1 : data.categories.length)) + by, 0), data.categories.length - 1);
    element.dataset.tgAt = at;
    chart.dispatchAction({ type: "showTip", seriesIndex: chart.getOption().series.length - 1, dataIndex: at });
    const live = document.getElementById("announcer");
    if (live) live.textContent = `${data.categories[at]}: ${data.series.map((s) => `${s.label} ${figure(s.values[at], data, false)}`).join(", ")}`;
  }
  function drawAll(root) {
    root.querySelectorAll?.("[data-tg-chart]").forEach(draw);
    for (const [element, { chart }] of charts) if (!element.isConnected) { chart.dispose(); charts.delete(element); }
  }
  document.addEventListener("tg:theme", () => charts.forEach(({ chart, data }) => chart.setOption(option(data), true)));
  document.addEventListener("htmx:afterSettle", () => drawAll(document));
  matchMedia("print").addEventListener("change", () => charts.forEach(({ chart, data }) => { chart.setOption(option(data), true); chart.resize(); }));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => drawAll(document)); else drawAll(document);
})();
