/* The fair-value band of strategies/fair_value_band.py over bars, by hand: what a loop in C takes for these rules.

   It has: market orders filled at the next open with half the spread, on the tick, by a share of the bar's volume, the
   rest waiting; fees; purchases from the exchange wallet, shorts from the trading wallet with transfers between them;
   dividends by index; loans of contracts at the rate of their day, interest by the second at the mark, paid daily;
   initial and maintenance margin with dated steps, liquidation, deficit; expiry. All of it in integers, rounded as
   bot.core rounds. It lacks: loans that end before the short does, a pool that runs dry, drawdown limits, limit orders,
   lending, other strategies, other users, postings. Where it would need one of those it ends with an error (`refused`).

   Nothing is skipped: every bar is visited. `run` returns 0 or the line that refused. */
#include <stdint.h>
#include <stdlib.h>

typedef int64_t i64;
typedef __int128 wide;

enum { PPM = 1000000, INDEX_BITS = 20, MOST_LOANS = 4096, DAY_S = 86400, SLACK_PPM = 20000, ROUNDINGS_SAT = 5 };
#define INTEREST ((i64)1000000000 * DAY_S)

typedef struct {
    i64 open_s, close_s, open_sat, close_sat, room_lots, index_open, index_close, rate_open;
    double fair;
} Bar;

typedef struct {
    i64 per_contract, tick_sat, taker_ppm, dearest_ppm, half_spread_ppm, most_position, most_order, start_s, end_s;
    i64 deposit_sat, loan_s, index_end, steps;
    i64 step_s[8], initial_ppm[8], maintenance_ppm[8];
    double entry, leave, size, tolerance;
} Terms;

typedef struct {
    i64 time_s, lots, price_sat, fee_sat;
} Fill;

typedef struct {
    i64 lots, rate, paid_s, end_s, carry;
} Loan;

typedef struct {
    const Terms *terms;
    i64 cash, spot, trading, proceeds, margin; /* exchange wallet and its lots; trading wallet, position and its lots */
    i64 spot_index, spot_carry, margin_index, margin_carry;
    i64 index, mark, now_s, initial, maintenance, daily_s, next_step, room, rate;
    i64 slope, slope_paid; /* of all loans: sum of lots x rate, and that times the second each is paid up to */
    i64 order, order_margin, order_rested, forced, liquidating;
    i64 fills, most_fills, refused;
    int loans;
    Loan loan[MOST_LOANS];
    Fill *fill;
} Account;

static i64 floor_div(wide a, wide b) { wide q = a / b; return (i64)(a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q); }
static i64 ceil_div(wide a, wide b) { return -floor_div(-a, b); }
static i64 least(i64 a, i64 b) { return a < b ? a : b; }
static i64 most(i64 a, i64 b) { return a > b ? a : b; }

static i64 notional(const Account *a, i64 lots, i64 price) {
    i64 per = a->terms->per_contract, size = lots < 0 ? -lots : lots;
    i64 worth = (2 * size * price + per) / (2 * per);
    return lots < 0 ? -worth : worth;
}
static i64 fee(i64 amount, i64 ppm) { return ceil_div((wide)amount * ppm, PPM); }
static i64 taker_price(const Account *a, i64 price, int buys) {
    const Terms *t = a->terms;
    if (buys) return t->tick_sat * ceil_div((wide)price * (PPM + t->half_spread_ppm), (wide)PPM * t->tick_sat);
    return most(t->tick_sat * floor_div((wide)price * (PPM - t->half_spread_ppm), (wide)PPM * t->tick_sat), t->tick_sat);
}
static i64 due(i64 lots, i64 rise, i64 carry) { return (lots * rise + carry) >> INDEX_BITS; }
static i64 interest_due(const Account *a) {
    if (!a->loans) return 0;
    return (i64)((wide)(a->slope * a->now_s - a->slope_paid) * a->mark / ((wide)INTEREST * a->terms->per_contract));
}
static i64 margin_equity(const Account *a) {
    i64 value = notional(a, a->margin, a->mark);
    i64 cash = a->trading + a->proceeds + due(a->margin, a->index - a->margin_index, a->margin_carry);
    return cash + value - fee(value < 0 ? -value : value, a->terms->taker_ppm) - interest_due(a);
}
static i64 equity(const Account *a) {
    i64 dividends = due(a->spot, a->index - a->spot_index, a->spot_carry);
    dividends += due(a->margin, a->index - a->margin_index, a->margin_carry);
    return a->cash + a->trading + a->proceeds + dividends + notional(a, a->spot + a->margin, a->mark) - interest_due(a);
}
static i64 requirement(const Account *a, i64 lots, i64 ppm) {
    return ceil_div((wide)notional(a, lots < 0 ? -lots : lots, a->mark) * ppm, PPM);
}

static void settle_dividends(Account *a) {
    i64 mask = ((i64)1 << INDEX_BITS) - 1, owed = a->spot * (a->index - a->spot_index) + a->spot_carry;
    a->cash += owed >> INDEX_BITS;
    a->spot_carry = owed & mask;
    owed = a->margin * (a->index - a->margin_index) + a->margin_carry;
    a->trading += owed >> INDEX_BITS;
    a->margin_carry = owed & mask;
    a->spot_index = a->margin_index = a->index;
}
static void sum_loans(Account *a) {
    a->slope = a->slope_paid = 0;
    for (int i = 0; i < a->loans; i++) {
        a->slope += a->loan[i].lots * a->loan[i].rate;
        a->slope_paid += a->loan[i].lots * a->loan[i].rate * a->loan[i].paid_s;
    }
}
static void pay_interest(Account *a, Loan *loan) {
    wide owed = (wide)notional(a, loan->lots, a->mark) * loan->rate * (a->now_s - loan->paid_s) + loan->carry;
    if (a->now_s == loan->paid_s) return;
    a->trading -= (i64)(owed / INTEREST);
    loan->carry = (i64)(owed % INTEREST);
    loan->paid_s = a->now_s;
}
static void repay(Account *a, i64 lots) { /* the dearest first, then the oldest */
    while (lots) {
        int at = 0;
        for (int i = 1; i < a->loans; i++)
            if (a->loan[i].rate > a->loan[at].rate) at = i;
        i64 part = least(lots, a->loan[at].lots);
        pay_interest(a, &a->loan[at]);
        a->loan[at].lots -= part;
        lots -= part;
        if (!a->loan[at].lots) {
            for (int i = at; i + 1 < a->loans; i++) a->loan[i] = a->loan[i + 1];
            a->loans--;
        }
    }
    sum_loans(a);
}
static void cover_deficit(Account *a) {
    if (a->loans) return;
    a->liquidating = 0;
    if (a->trading < 0) a->trading = 0;
}
static void check_margin(Account *a) {
    if (!a->loans || a->liquidating) return;
    if (margin_equity(a) >= requirement(a, a->margin, a->maintenance)) return;
    a->liquidating = 1;
    if (!a->forced && a->order && a->order_margin) a->order = 0;
    if (a->order) a->refused = __LINE__; /* an exchange order beside the forced one */
    a->order = -a->margin;
    a->forced = a->order_margin = 1;
    a->order_rested = 0;
}

static void trade(Account *a, i64 lots, i64 price) {
    const Terms *t = a->terms;
    i64 amount = notional(a, lots < 0 ? -lots : lots, price), cost = fee(amount, t->taker_ppm);
    settle_dividends(a);
    if (!a->order_margin) {
        a->spot += lots;
        a->cash += (lots < 0 ? amount : -amount) - cost;
    } else if (lots < 0) {
        if (a->loans == MOST_LOANS) { a->refused = __LINE__; return; }
        a->loan[a->loans++] = (Loan){-lots, a->rate, a->now_s, a->now_s + t->loan_s, 0};
        sum_loans(a);
        a->margin += lots;
        a->proceeds += amount;
        a->trading -= cost;
    } else {
        i64 released = floor_div((wide)a->proceeds * lots, -a->margin);
        a->margin += lots;
        a->proceeds -= released;
        repay(a, lots);
        a->trading += released - amount - cost;
    }
    if (a->fills < a->most_fills) a->fill[a->fills] = (Fill){a->now_s, lots, price, cost};
    a->fills++;
    a->order -= lots;
    cover_deficit(a);
}
static i64 capacity(Account *a, int buys, i64 price) { /* what the account can pay, or margin, at a price */
    const Terms *t = a->terms;
    if (a->order_margin) {
        if (buys) return -a->margin; /* a short is only ever reduced by a purchase */
        i64 spare = margin_equity(a) - ROUNDINGS_SAT, loss = (a->mark - price) * PPM + price * t->dearest_ppm;
        wide left = (wide)spare * PPM * t->per_contract - (wide)-a->margin * a->initial * a->mark;
        wide cost = loss + (wide)(a->initial + t->dearest_ppm) * a->mark;
        return left < 0 ? 0 : floor_div(left, cost);
    }
    if (!buys) return a->spot;
    i64 lots = floor_div((wide)most(a->cash, 0) * PPM * t->per_contract, (wide)(PPM + t->dearest_ppm) * price);
    while (lots && notional(a, lots, price) + fee(notional(a, lots, price), t->dearest_ppm) > a->cash) lots--;
    return lots;
}
static void match_open(Account *a) {
    int buys = a->order > 0;
    if (a->order_margin && buys) { /* reduce-only */
        a->order = least(a->order, -a->margin);
        if (!a->order) return;
    }
    i64 price = taker_price(a, a->mark, buys), wanted = least(buys ? a->order : -a->order, a->room);
    i64 can = capacity(a, buys, price), lots = least(wanted, can);
    if (lots > 0) trade(a, buys ? lots : -lots, price);
    if (can < wanted) a->order = 0;
    a->order_rested = 1;
    if (!a->order) a->forced = 0;
}

static i64 free_margin(const Account *a) {
    if (!a->margin && !a->loans) return most(a->trading, 0);
    return most(least(a->trading, margin_equity(a) - requirement(a, a->margin, a->initial)), 0);
}
static void place(Account *a, i64 size, int margin) {
    a->order = size;
    a->order_margin = margin;
    a->order_rested = a->forced = 0;
}
static i64 fund_purchase(Account *a, i64 size) {
    const Terms *t = a->terms;
    i64 price = floor_div((wide)taker_price(a, a->mark, 1) * (PPM + SLACK_PPM), PPM), elsewhere = free_margin(a);
    wide most_lots = (wide)most(a->cash + elsewhere, 0) * t->per_contract * PPM / ((wide)price * (PPM + t->taker_ppm));
    i64 lots = (wide)size < most_lots ? size : (i64)most_lots, amount = notional(a, lots, price);
    i64 missing = least(amount + fee(amount, t->taker_ppm) - a->cash, elsewhere);
    if (missing > 0) { a->cash += missing; a->trading -= missing; }
    return lots;
}
static i64 fund_short(Account *a, i64 size) {
    i64 price = floor_div((wide)a->mark * (PPM + SLACK_PPM), PPM);
    if (a->cash > 0) { a->trading += a->cash; a->cash = 0; }
    i64 able = floor_div((wide)most(margin_equity(a), 0) * PPM * a->terms->per_contract, (wide)a->initial * price);
    return most(least(size, able + a->margin), 0);
}
static void follow(Account *a, i64 target) {
    const Terms *t = a->terms;
    i64 delta = most(-t->most_position, least(t->most_position, target)) - a->spot - a->margin, size = delta;
    int margin = 0, reduces = 0;
    if (!delta) {
        if (!a->forced) a->order = 0;
        return;
    }
    if (delta > 0 && a->margin < 0) { margin = reduces = 1; size = least(delta, -a->margin); }
    else if (delta < 0 && a->spot > 0) size = -least(-delta, a->spot);
    else if (delta < 0) margin = 1;
    size = most(-t->most_order, least(t->most_order, size));
    if (!a->forced && a->order && a->order_margin == margin && (a->order > 0) == (size > 0)
        && (a->order == size || !a->order_rested))
        return;
    if (!a->forced) a->order = 0;
    if (!margin && size > 0) size = fund_purchase(a, size);
    else if (margin && !reduces) size = -fund_short(a, -size);
    if (!size || (a->liquidating && margin)) return;
    if (a->forced) { a->refused = __LINE__; return; } /* an exchange order beside the forced one */
    place(a, size, margin);
}
static i64 grown(i64 held, i64 wanted, double tolerance) {
    i64 size = held < 0 ? -held : held, goal = wanted < 0 ? -wanted : wanted;
    return held * wanted > 0 && size >= (1.0 - tolerance) * goal ? held : wanted;
}
static void decide(Account *a, double fair) {
    const Terms *t = a->terms;
    i64 held = a->spot + a->margin, target = held;
    double edge = fair > 0.0 ? a->mark / fair - 1.0 : 1e300;
    if (edge < -t->entry || edge > t->entry) {
        i64 worth = equity(a);
        i64 lots = worth <= 0 ? 0 : (i64)(t->size * (double)worth * (double)t->per_contract / (double)a->mark);
        i64 size = held < 0 ? -held : held, full = held && size >= (1.0 - t->tolerance) * t->most_position;
        if (!full || (held > 0) != (edge < 0)) target = grown(held, edge < 0 ? lots : -lots, t->tolerance);
    } else if ((held > 0 && edge > -t->leave) || (held < 0 && edge < t->leave)) {
        target = 0;
    }
    if (target != held || a->order) follow(a, target);
}
static void fall_due(Account *a) { /* what the venue does by itself at this second, before the market moves */
    const Terms *t = a->terms;
    int any = 0;
    while (a->next_step < t->steps && t->step_s[a->next_step] <= a->now_s) {
        a->initial = t->initial_ppm[a->next_step];
        a->maintenance = t->maintenance_ppm[a->next_step++];
        any = 1;
    }
    if (a->now_s >= a->daily_s) {
        if (a->now_s > a->daily_s) a->refused = __LINE__; /* midnight lies inside a bar */
        a->daily_s += DAY_S;
        for (int i = 0; i < a->loans; i++) {
            pay_interest(a, &a->loan[i]);
            if (a->loan[i].end_s <= a->now_s) a->refused = __LINE__; /* a loan ends: it would have to be renewed */
        }
        sum_loans(a);
        settle_dividends(a);
        any = 1;
    }
    if (any) check_margin(a);
}

int run(const Terms *terms, const Bar *bars, i64 count, Fill *fills, i64 most_fills, i64 *equities, i64 *result) {
    Account *a = calloc(1, sizeof *a);
    if (!a) return -1;
    a->terms = terms;
    a->cash = terms->deposit_sat;
    a->fill = fills;
    a->most_fills = most_fills;
    a->now_s = terms->start_s;
    a->daily_s = (terms->start_s / DAY_S + 1) * DAY_S;
    a->initial = terms->initial_ppm[0];
    a->maintenance = terms->maintenance_ppm[0];
    for (i64 i = 0; i < count && !a->refused; i++) {
        const Bar *bar = &bars[i];
        a->now_s = bar->open_s;
        a->index = bar->index_open;
        a->rate = bar->rate_open;
        a->mark = bar->open_sat;
        check_margin(a);
        if (a->order) {
            a->room = bar->room_lots;
            match_open(a);
            check_margin(a);
        }
        a->now_s = bar->close_s;
        a->index = bar->index_close;
        if (a->now_s >= a->daily_s || (a->next_step < terms->steps && a->now_s >= terms->step_s[a->next_step]))
            fall_due(a);
        a->mark = bar->close_sat;
        check_margin(a);
        if (equities) equities[i] = equity(a);
        decide(a, bar->fair);
    }
    a->now_s = terms->end_s;
    a->index = terms->index_end;
    settle_dividends(a);
    for (int i = 0; i < a->loans; i++) pay_interest(a, &a->loan[i]);
    result[0] = a->cash + most(a->trading + a->proceeds, 0);
    result[1] = a->fills;
    int refused = (int)a->refused;
    free(a);
    return refused;
}
