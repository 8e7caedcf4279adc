// Shows what /events says. Amounts come as whole satoshi and lots, times as milliseconds since 1970 UTC.
'use strict';
const SAT = 1e8;
const NS = 'http://www.w3.org/2000/svg';
const byId = id => document.getElementById(id);
const tracks = {};
let chosen = decodeURIComponent(location.hash.slice(1));
let state = null;
let heard = 0;

function element(name, attributes, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}
function drawn(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const btc = (sat, digits = 8) => (sat / SAT).toFixed(digits);
const signed = (number, digits) => (number > 0 ? '+' : '') + number.toFixed(digits);
const utc = ms => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
const percent = (ppb, digits = 3) => (ppb / 1e7).toFixed(digits) + ' %';
function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 120) return s + ' s';
  if (s < 7200) return Math.floor(s / 60) + ' min';
  if (s < 172800) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}
function contracts(lots, of) {
  const digits = Math.max(0, Math.ceil(Math.log10(of.lots_per_contract)));
  return (lots / of.lots_per_contract).toFixed(digits);
}

function tile(name, value, below, tone) {
  return element('div', {class: 'tile'}, element('span', {}, name), element('b', {class: tone || ''}, value), element('small', {}, below));
}
function table(id, heads, rows, none) {
  const body = element('tbody', {});
  for (const row of rows) body.append(element('tr', {}, ...row.map(cell => cell instanceof Node ? cell : element('td', {}, cell))));
  if (!rows.length) body.append(element('tr', {}, element('td', {class: 'none', colspan: heads.length}, none)));
  const head = element('thead', {}, element('tr', {}, ...heads.map(name => element('th', {scope: 'col'}, name))));
  byId(id).replaceChildren(...(rows.length ? [head, body] : [body]));
}

function showTop(now) {
  byId('title').textContent = state.title;
  document.title = (now ? btc(now.price_sat, 4) + ' ' : '') + state.title;
  byId('feed').textContent = state.feed.replace(/ [0-9a-f]{12}(?=,|$)/g, '');
  byId('version').textContent = 'fairhash ' + state.version;
  const health = byId('health');
  health.textContent = state.health.status;
  health.className = 'pill ' + (state.health.status === 'ill' ? 'ill' : 'ok');
  const trouble = byId('trouble');
  const told = [...state.health.problems, ...(now && now.note ? [now.note] : [])];
  trouble.hidden = !told.length;
  trouble.textContent = told.join('; ');
  byId('simulated').hidden = !(now && now.simulated);
  byId('clock').textContent = now ? utc(now.time_ms) + ' UTC' : '';
  const ages = [['quote', state.health.quote_age_s], ['block', state.health.block_age_s]];
  byId('ages').textContent = ages.map(([name, age]) => age === null ? 'no ' + name + ' yet' : 'last ' + name + ' ' + span(age * 1000) + ' ago').join(', ');
  byId('ends').textContent = !now ? '' : now.expired ? 'expired' : 'expires in ' + span(now.ends_ms - now.time_ms);
}
function showTabs() {
  const names = state.strategies.map(each => each.strategy);
  if (!names.includes(chosen)) chosen = names[0] || '';
  const tabs = byId('tabs');
  if (tabs.dataset.names !== names.join('\n')) {
    tabs.dataset.names = names.join('\n');
    tabs.replaceChildren(...names.map(name => {
      const button = element('button', {type: 'button'}, name);
      button.addEventListener('click', () => { chosen = name; location.hash = encodeURIComponent(name); show(); });
      return button;
    }));
  }
  for (const button of tabs.children) {
    const pressed = button.textContent === chosen;
    if (pressed && button.getAttribute('aria-pressed') !== 'true') tabs.scrollLeft = button.offsetLeft - tabs.offsetLeft;
    button.setAttribute('aria-pressed', String(pressed));
  }
}
function showTiles(now) {
  const edge = now.fair_sat ? now.price_sat / now.fair_sat - 1 : null;
  const gain = (now.equity_sat - now.start_equity_sat) / SAT;
  const fall = now.peak_sat > 0 ? 100 * (now.peak_sat - now.equity_sat) / now.peak_sat : 0;
  const side = now.position_lots > 0 ? 'long' : now.position_lots < 0 ? 'short' : 'flat';
  byId('tiles').replaceChildren(
    tile('Price, BTC per contract', btc(now.price_sat, 5), now.price_sat ? btc(now.bid_sat, 4) + ' bid, ' + btc(now.ask_sat, 4) + ' ask' : 'no price yet'),
    tile('Fair value, BTC', now.fair_sat === null ? 'not known' : btc(now.fair_sat, 5), now.high_sat ? 'band ' + btc(now.low_sat, 4) + ' to ' + btc(now.high_sat, 4) : 'no band'),
    tile('Price over fair value', edge === null ? '-' : signed(100 * edge, 1) + ' %', edge === null ? '' : edge > 0 ? 'the market is dear' : 'the market is cheap'),
    tile('Position, contracts', contracts(now.position_lots, now), now.halted ? 'halted' : side),
    tile('Equity, BTC', btc(now.equity_sat, 4), signed(gain, 4) + ' since the start, ' + fall.toFixed(1) + ' % below peak', gain < 0 ? 'loss' : 'gain'),
    tile('Swap rate, a day', percent(now.swap_rate_ppb_day), contracts(now.borrowable_lots, now) + ' ' + now.asset + ' to borrow; BTC ' + percent(now.btc_rate_ppb_day)));
}
function showTables(now) {
  table('orders', ['placed, UTC', 'size', 'left', 'limit, BTC', 'wallet'], now.orders.map(order => [
    utc(order.placed_ms), signed(Number(contracts(order.size_lots, now)), 2), contracts(order.remaining_lots, now),
    order.price_sat ? btc(order.price_sat, 5) : 'market', element('td', {}, element('span', {class: order.forced ? 'tag alarm' : 'tag'}, order.forced ? 'forced' : order.wallet))]), 'No order is open.');
  const owed = asset => now.loans.filter(loan => !loan.lent && loan.asset === asset);
  const mean = loans => loans.reduce((sum, loan) => sum + loan.amount * loan.rate_ppb_day, 0) / loans.reduce((sum, loan) => sum + loan.amount, 0);
  const sums = [['BTC', sat => btc(sat, 4)], [now.asset, lots => contracts(lots, now)]].filter(([asset]) => owed(asset).length).map(([asset, text]) =>
    text(owed(asset).reduce((sum, loan) => sum + loan.amount, 0)) + ' ' + asset + ' owed at ' + percent(mean(owed(asset))) + ' a day in the mean');
  byId('owed').textContent = sums.join(', ');
  table('loans', ['', 'amount', 'a day', 'ends in', 'ends, UTC'], now.loans.map(loan => [
    (loan.lent ? 'lent' : 'borrowed') + (loan.loans > 1 ? ' (' + loan.loans + ')' : ''), loan.asset === 'BTC' ? btc(loan.amount, 4) + ' BTC' : contracts(loan.amount, now) + ' ' + loan.asset,
    percent(loan.rate_ppb_day), span(loan.end_ms - now.time_ms), utc(loan.end_ms)]), 'Nothing is borrowed or lent.');
  byId('retarget').textContent = 'Difficulty ' + now.difficulty.toLocaleString('en', {maximumSignificantDigits: 6}) + '. ' + (now.height
    ? 'Next retarget at block ' + now.next_retarget_height + ', in ' + (now.next_retarget_height - now.height) + ' blocks, expected ' + utc(now.next_retarget_ms).slice(0, 16) + ' UTC.' : '');
  table('blocks', ['block', 'header time, UTC', 'paid, sat/contract'], now.blocks.map(block => [
    String(block.height), utc(block.header_time_s * 1000), block.dividend_sat.toLocaleString('en')]), 'No block yet.');
  table('wallets', ['wallet', 'BTC', now.asset], now.wallets.map(([name, sat, lots]) => [name, btc(sat), contracts(lots, now)]), '');
  const calm = ['fill', 'reorganisation', 'gap'];
  table('events', ['time, UTC', '', 'what'], now.events.map(event => [
    utc(event.time_ms), element('td', {}, element('span', {class: calm.includes(event.kind) ? 'tag' : 'tag alarm'}, event.kind)), event.text]), 'Nothing has happened yet.');
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(each => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
  return [found, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
}
function frame(svg, points, low, high) {
  const width = svg.clientWidth || 600, height = svg.clientHeight || 240;
  const left = 8, right = 52, top = 8, bottom = 22;
  const from = points[0][0], to = points[points.length - 1][0];
  if (high <= low) { low -= 1; high += 1; }
  const margin = (high - low) * 0.05;
  low -= margin; high += margin;
  const x = ms => left + (to > from ? (ms - from) / (to - from) : 1) * (width - left - right);
  const y = value => top + (high - value) / (high - low) * (height - top - bottom);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const [values, digits] = ticks(low, high, 4);
  for (const value of values) {
    svg.append(drawn('line', {class: 'grid', x1: left, x2: width - right, y1: y(value), y2: y(value)}));
    svg.append(drawn('text', {x: width - right + 6, y: y(value) + 4}, value.toFixed(digits)));
  }
  const labels = Math.max(2, Math.min(6, Math.floor((width - left - right) / 120)));
  for (let i = 0; i < labels && to > from; i++) {
    const ms = from + (to - from) * i / (labels - 1);
    const text = to - from > 8 * 864e5 ? utc(ms).slice(5, 10) : utc(ms).slice(5, 16);
    const anchor = i === 0 ? 'start' : i === labels - 1 ? 'end' : 'middle';
    svg.append(drawn('text', {x: x(ms), y: height - 6, 'text-anchor': anchor}, text));
  }
  return [x, y];
}
function path(points, x, y, column) {
  let text = '', pen = 'M';
  for (const point of points) {
    if (point[column] === null) { pen = 'M'; continue; }
    text += pen + x(point[0]).toFixed(1) + ' ' + y(point[column] / SAT).toFixed(1);
    pen = 'L';
  }
  return text;
}
function area(points, upper, lower) {
  const there = points.map(upper), back = points.map(lower).reverse();
  return there.length ? 'M' + [...there, ...back].map(([x, y]) => x.toFixed(1) + ' ' + y.toFixed(1)).join('L') + 'Z' : '';
}
function showCharts(now) {
  const points = tracks[now.strategy] || [];
  if (!points.length) return;
  const seen = points.flatMap(point => [point[1], ...(point[2] === null ? [] : [point[2]]), ...(point[4] ? [point[3], point[4]] : [])]);
  let svg = byId('chart-price');
  let [x, y] = frame(svg, points, Math.min(...seen) / SAT, Math.max(...seen) / SAT);
  const banded = points.filter(point => point[4] > 0);
  svg.append(drawn('path', {class: 'a-band', d: area(banded, p => [x(p[0]), y(p[4] / SAT)], p => [x(p[0]), y(p[3] / SAT)])}));
  svg.append(drawn('path', {class: 'l-fair', d: path(points, x, y, 2)}), drawn('path', {class: 'l-price', d: path(points, x, y, 1)}));
  svg = byId('chart-equity');
  const equity = points.map(point => point[5] / SAT);
  [x, y] = frame(svg, points, Math.min(...equity), Math.max(...equity));
  const most = Math.max(1, ...points.map(point => Math.abs(point[6])));
  const height = svg.clientHeight || 240, middle = 8 + (height - 30) / 2;
  const bar = lots => middle - lots / most * (height - 30) / 2;
  svg.append(drawn('path', {class: 'a-position', d: area(points, p => [x(p[0]), bar(p[6])], p => [x(p[0]), middle])}));
  svg.append(drawn('path', {class: 'l-equity', d: path(points, x, y, 5)}));
}

function show() {
  if (!state) return;
  showTabs();
  const now = state.strategies.find(each => each.strategy === chosen);
  showTop(now);
  if (!now) return;
  showTiles(now);
  showTables(now);
  showCharts(now);
}
function take(next) {
  state = next;
  byId('main').hidden = false;
  for (const now of state.strategies) {
    const points = tracks[now.strategy] || (tracks[now.strategy] = []);
    const last = points[points.length - 1];
    if (now.price_sat && (!last || now.time_ms > last[0])) {
      points.push([now.time_ms, now.price_sat, now.fair_sat, now.low_sat, now.high_sat, now.equity_sat, now.position_lots]);
      if (points.length > 4000) points.splice(0, points.length, ...points.filter((_, i) => i % 2 === 0));
    }
  }
  show();
}
function lost() {
  const health = byId('health');
  health.textContent = 'connection lost';
  health.className = 'pill ill';
}
async function begin() {
  Object.assign(tracks, await (await fetch('track')).json());
  take(await (await fetch('state')).json());
  const events = new EventSource('events');
  events.onmessage = message => { heard = Date.now(); take(JSON.parse(message.data)); };
  events.onerror = lost;
  setInterval(() => { if (heard && Date.now() - heard > 15000) lost(); }, 5000);
}
addEventListener('resize', () => show());
begin().catch(lost);
