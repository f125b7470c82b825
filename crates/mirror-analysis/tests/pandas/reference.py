# The statistics of a run's plots, computed from its Parquet files with pandas, NumPy and SciPy. `data` is the input.
import math
from itertools import combinations

import numpy
import pandas
import pyarrow.parquet
from scipy import stats

KEYS = ["validator", "purpose", "step", "forward_index"]
OUTCOMES = ["success", "empty", "too short", "timeout", "unreachable", "oversized", "malformed", "refused", "other"]
FIFTHS = ["first fifth", "second fifth", "third fifth", "fourth fifth", "last fifth"]
UNKNOWN = ("miner", "miners")
PHASES = {
    "step": "planning", "forward": "planning", "choose": "planning", "link": "link", "dendrite.forward": "network",
    "reward": "reward", "axon.forward": "other",
}


def plain(value):
    """Returns a value that JSON can express."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, numpy.ndarray, pandas.Series, pandas.Index)):
        return [plain(item) for item in value]
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, (int, numpy.integer)):
        return int(value)
    return None if math.isnan(value) else float(value)


def width_of(last, capacity):
    """Returns the width of the bins of a series that ends at the position `last`."""
    width = 1
    while last // width >= capacity:
        width *= 2
    return width


def middle(bins, width):
    return numpy.asarray(bins) * width + (width - 1) / 2


def finite(frame, column):
    return frame[numpy.isfinite(frame[column].astype(float))]


def line(name, values, width=1, **more):
    """Draws the values of a series whose index contains the numbers of the bins."""
    values = values.dropna().sort_index()
    return {"kind": "line", "name": name, "x": middle(values.index, width), "y": values.values, **more}


def bars(name, x, y, **more):
    return {"kind": "bars", "name": name, "x": x, "y": y, **more}


def half_widths(groups):
    return stats.t.ppf(0.975, groups.count() - 1) * groups.std() / numpy.sqrt(groups.count())


def gini(values):
    """The mean absolute difference of all pairs, relative to twice the mean."""
    values = numpy.asarray(values, dtype=float)
    return numpy.abs(values[:, None] - values[None, :]).mean() / (2 * values.mean())


def nakamoto(values):
    total, sums = sum(values), numpy.cumsum(sorted(values, reverse=True))
    return int(numpy.argmax(sums > total / 2)) + 1


class Run:
    def __init__(self, folder, neurons):
        def table(name):
            return pyarrow.parquet.read_table(f"{folder}/{name}.parquet").to_pandas()

        self.table = table
        self.neurons = {int(uid): tuple(neuron) for uid, neuron in neurons.items()}
        events = table("events")
        events = events[events.purpose == "query"].reset_index(drop=True)
        events["position"] = events.index
        self.per_step = int(events.forward_index.max()) + 1
        events["number"] = events.step * self.per_step + events.forward_index
        events["fifth"] = events.position * 5 // len(events)
        started = events.started_at.where(events.started_at > 0)
        self.first = started.min()
        self.duration = (started + events.call_time.fillna(0)).max() - self.first
        events["second"] = numpy.floor(started - self.first)
        self.events = events
        calls = table("responses").rename(columns={"position": "order"})
        added = ["position", "number", "fifth", "second"]
        calls = calls.merge(events[KEYS + added], on=KEYS).sort_values(["position", "order"])
        calls[["reward", "latency"]] = calls[["reward", "latency"]].astype(float)
        self.calls = calls.reset_index(drop=True)
        self.rewards = finite(self.calls, "reward")
        self.successes = self.calls[self.calls.outcome == "success"]
        self.losses, self.parameters = table("losses"), table("parameters")
        weights = table("weights")
        self.weights = weights[weights.refusal.isna()]
        epochs = table("epochs")
        for column in ["incentive", "dividends", "trust", "validator_trust"]:
            epochs[column] = epochs[column].astype(float)
        epochs["for_incentive"] = epochs.server_emission / 1e9
        epochs["for_dividends"] = epochs.validator_emission / 1e9
        epochs["kind"] = [self.label(uid)[0] for uid in epochs.uid]
        epochs["label"] = [self.label(uid)[1] for uid in epochs.uid]
        self.epochs = epochs
        self.uids = sorted(set(self.calls.uid) | set(self.weights.uid))
        scores = pandas.DataFrame([numpy.asarray(row, dtype=float) for row in events.scores])
        exist = set(self.uids) | set(self.neurons) | set(epochs.uid)
        scores = scores[[uid for uid in scores.columns if uid in exist]]
        self.scores = scores.where(numpy.isfinite(scores))

    def label(self, uid):
        return self.neurons.get(int(uid), UNKNOWN)

    def heat(self, rows, uids, closed=False, filled=False, capacity=500):
        """Draws rows with the columns `uid`, `at` and `value`."""
        width = max(width_of(last, capacity) for last in rows.groupby("uid")["at"].max())
        while (columns := rows["at"].max() // width + 1) > 1 and columns * len(uids) > 40_000:
            width *= 2
        cells = rows.groupby(["uid", rows["at"] // width])["value"].mean().unstack()
        if not closed:
            cells = cells.reindex(columns=range(columns))
        cells = cells.reindex(index=uids)
        if filled:
            cells = cells.ffill(axis=1)
        return [{"kind": "heat", "x": middle(cells.columns, width), "y": [str(uid) for uid in uids], "z": cells.values}]

    def smoothed_rewards(self):
        rows = []
        for uid, rewards in self.rewards.groupby("uid"):
            all_forwards = rewards.set_index("position").reward.reindex(self.events.index)
            # Each validator has its own mean.
            for _, of_validator in all_forwards.groupby(self.events.validator):
                means = of_validator.ewm(alpha=0.1).mean()[of_validator.notna()]
                at = self.events.number[means.index]
                rows.append(pandas.DataFrame({"uid": uid, "at": at, "value": means}))
        return pandas.concat(rows)

    def for_each_validator(self, values, computed):
        return pandas.concat([computed(part) for _, part in values.groupby(self.events.validator)]).sort_index()

    def long_scores(self, scores):
        long = scores.rename_axis("position").reset_index().melt("position", var_name="uid").dropna()
        long["at"] = self.events.number.loc[long.position].values
        return long

    def histograms(self, by_fifth):
        """Draws stacked histograms of a table with one row for each uid and one column for each fifth."""
        edges = numpy.histogram_bin_edges(by_fifth.stack().dropna(), bins=20)
        middles = (edges[1:] + edges[:-1]) / 2
        counts = {fifth: numpy.histogram(by_fifth[fifth].dropna(), bins=edges)[0] for fifth in by_fifth}
        return [bars(FIFTHS[fifth], middles, counts[fifth]) for fifth in sorted(counts)]

    def histogram(self, means):
        counts, edges = numpy.histogram(means, bins=20)
        return [bars("uids", (edges[1:] + edges[:-1]) / 2, counts)]

    def pairs(self):
        """Yields the scores and rewards of each forward."""
        for position in self.events.index:
            calls = self.by_position.get(position)
            if calls is None:
                yield numpy.array([]), numpy.array([])
                continue
            scores = self.scores.loc[position].reindex(calls.uid).values
            known = ~numpy.isnan(scores)
            yield scores[known], calls.reward.values[known]

    def agreement(self):
        self.by_position = dict(list(self.rewards.groupby("position")))
        pearson, spearman = [], []
        better = {fifth: [] for fifth in range(5)}
        for (scores, rewards), fifth in zip(self.pairs(), self.events.fifth):
            differ = len(set(scores)) > 1 and len(set(rewards)) > 1
            pearson.append(stats.pearsonr(scores, rewards).statistic if differ else math.nan)
            spearman.append(stats.spearmanr(scores, rewards).statistic if differ else math.nan)
            for one, other in combinations(range(len(scores)), 2):
                if rewards[one] != rewards[other]:
                    sign = (scores[one] - scores[other]) * (rewards[one] - rewards[other])
                    better[fifth].append((numpy.sign(sign) + 1) / 2)
        traces = []
        for name, values in [("Pearson", pearson), ("Spearman", spearman)]:
            each = pandas.Series(values)
            means = each.groupby(self.events.number).mean().dropna()
            single = f"{name}, single forwards"
            traces.append({"kind": "points", "name": single, "x": means.index, "y": means.values})
            rolling = self.for_each_validator(each, lambda part: part.rolling(10).mean())
            traces.append(line(name, rolling.groupby(self.events.number).mean()))
        known = [fifth for fifth in better if better[fifth]]
        areas = [numpy.mean(better[fifth]) for fifth in known]
        return traces, [bars("AUC", [FIFTHS[fifth] for fifth in known], areas)]

    def rates(self, seconds, width):
        while seconds.max() // width + 1 > 100:
            width *= 2
        unit = 1 if self.duration < 600 else 60 if self.duration < 36_000 else 3600
        return width, lambda counts: counts / width * unit

    def throughput(self):
        seconds = self.events.second.dropna()
        width, rate = self.rates(seconds, width_of(seconds.max(), 2000))
        counts = (seconds // width).value_counts().reindex(range(int(seconds.max() // width) + 1), fill_value=0)
        return [line("events", rate(counts), width)]

    def message_rates(self):
        grouped = self.successes.groupby("completion").position.agg(["count", "min"])
        top = grouped.sort_values(["count", "min"], ascending=[False, True]).index[:20]
        of_top = self.successes[self.successes.completion.isin(top)].dropna(subset="second")
        width = max(width_of(last, 100) for last in of_top.groupby("completion").second.max())
        width, rate = self.rates(of_top.second, width)
        bins = range(int(of_top.second.max() // width) + 1)
        traces = []
        for text in top:
            seconds = of_top[of_top.completion == text].second
            counts = (seconds // width).value_counts().reindex(bins, fill_value=0)
            name = text if len(text) <= 40 else text[:40] + "…"
            traces.append(line(name, rate(counts), width))
        return traces

    def shared_completions(self):
        """Returns the smallest number of completions for which some pairs but not all overlap, and these pairs."""
        ranked = {}
        for uid, calls in self.successes.groupby("uid"):
            counts = calls.groupby("completion").position.agg(["count", "min"])
            ranked[uid] = list(counts.sort_values(["count", "min"], ascending=[False, True]).index)
        every = list(combinations(sorted(ranked), 2))
        for n in [1, 5, 10, 50, 100, 500]:
            pairs = [[one, other] for one, other in every if set(ranked[one][:n]) & set(ranked[other][:n])]
            if 0 < len(pairs) < len(every):
                return {"n": n, "pairs": pairs}
        return None

    def equals(self):
        uids = sorted(set(self.successes.uid))
        columns = ["position", "uid", "completion", "latency"]
        both = self.successes[columns].merge(self.successes[columns], on="position")
        both = both[both.uid_x != both.uid_y]
        both["equal"] = both.completion_x == both.completion_y
        both["first"] = both.equal & (both.latency_x < both.latency_y)

        def square(values):
            cells = values.unstack().reindex(index=uids, columns=uids)
            return [{"kind": "heat", "x": uids, "y": [str(uid) for uid in uids], "z": cells.values}]

        alike = both.groupby(["uid_x", "uid_y"]).equal.mean()
        equal = both[both.equal]
        return square(alike), square(equal.groupby(["uid_x", "uid_y"])["first"].mean())

    def by_label(self, kind, column):
        of_kind = self.epochs[self.epochs.kind == kind]
        return of_kind.groupby(["label", "epoch"])[column].mean()

    def lines_by_label(self, kind, column):
        means = self.by_label(kind, column)
        return [line(label, means[label]) for label in sorted(set(means.index.get_level_values(0)))]

    def by_validator(self, column):
        validators = self.epochs[self.epochs.kind == "validator"]
        return [
            line(f"uid {uid} ({self.label(uid)[1]})", rows.set_index("epoch")[column], uid=uid)
            for uid, rows in validators.groupby("uid")
        ]

    def points(self, table):
        """Draws a table with the columns `x` and `y` and an index of uids."""
        table = table.dropna()
        labels = sorted({self.label(uid) for uid in table.index})
        traces = []
        for label in labels:
            of_label = table[[self.label(uid) == label for uid in table.index]]
            traces.append({"kind": "points", "name": label[1], "uids": of_label.index, "x": of_label.x, "y": of_label.y})
        return traces

    def scores_by_label(self):
        scores = self.long_scores(self.scores)
        scores["kind"] = [self.label(uid)[0] for uid in scores.uid]
        scores["label"] = [self.label(uid)[1] for uid in scores.uid]
        scores = scores[scores.kind == "miner"]
        width = width_of(scores["at"].max(), 500)
        means = scores.groupby(["label", scores["at"] // width]).value.mean()
        return [line(label, means[label], width) for label in sorted(set(scores.label))]

    def reward_lines(self):
        width = max(width_of(last, 500) for last in self.rewards.groupby("uid").number.max())
        means = self.rewards.groupby(["uid", self.rewards.number // width]).reward.mean()
        return [line(f"uid {uid}", means[uid], width, uid=uid) for uid in sorted(set(self.rewards.uid))]

    def call_time(self):
        times = finite(self.events, "call_time").groupby("step").call_time.agg(["min", "mean", "max"]) * 1e3
        band = {"kind": "band", "x": times.index, "low": times["min"], "high": times["max"]}
        return [band, line("mean", times["mean"])]

    def critical_path(self, span, start, end, uid, times):
        """Adds the critical path of a span that is cut to a time (CRISP: Zhang et al., USENIX ATC 2022)."""
        if span["uid"] == span["uid"] and span["name"].split(".")[0] in ["dendrite", "axon"]:
            uid = int(span["uid"])
        key = (PHASES[span["name"]], uid)
        children = [(min(max(child["started_ns"], start), end), min(max(child["ended_ns"], start), end), child)
                    for child in self.children.get(span["span_id"], [])]
        for first, last, child in sorted(children, key=lambda child: (child[1], -child[0]), reverse=True):
            if last <= end and first < last:
                times[key] = times.get(key, 0) + end - last
                self.critical_path(child, first, last, uid, times)
                end = first
        times[key] = times.get(key, 0) + end - start

    def critical_paths(self):
        spans = self.table("spans")
        spans["ended_ns"] = spans.started_ns + spans.duration_ns
        times, saved, total = {}, {}, 0
        for _, trace in spans.groupby("trace_id"):
            rows = trace.to_dict("records")
            self.children = {}
            for row in rows:
                self.children.setdefault(row["parent_id"], []).append(row)
            root = next(row for row in rows if row["name"] == "step")
            total += root["duration_ns"]
            self.critical_path(root, root["started_ns"], root["ended_ns"], None, times)
            ends = sorted((row["ended_ns"], int(row["uid"])) for row in rows if row["name"] == "dendrite.forward")
            # Each uid is called once.
            (second, _), (last, uid) = ends[-2:]
            saved[uid] = saved.get(uid, 0) + last - second
        phases, uids = {}, {}
        for (phase, uid), time in times.items():
            phases[phase] = phases.get(phase, 0) + time
            if uid is not None:
                uids[uid] = uids.get(uid, 0) + time
        order = list(dict.fromkeys(PHASES.values()))
        names = sorted((phase for phase in phases if phases[phase]), key=lambda phase: (-phases[phase], order.index(phase)))
        called = sorted(uid for uid in uids if uids[uid])
        words = [str(uid) for uid in called]
        return [bars("share", names, [phases[phase] / total for phase in names])], [
            bars("waited for", words, [uids[uid] / total for uid in called]),
            bars("could be saved", words, [saved.get(uid, 0) / total for uid in called]),
        ]

    def outcomes(self):
        counts = self.calls.groupby(["uid", "outcome"]).size().unstack(fill_value=0).reindex(self.uids, fill_value=0)
        shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
        names = [str(uid) for uid in self.uids]
        return [bars(kind, names, shares[kind]) for kind in OUTCOMES if kind in shares and shares[kind].any()]

    def call_rates(self):
        counts = self.calls.groupby("uid").outcome.agg(["size", lambda kinds: (kinds == "success").sum()])
        counts.columns = ["all", "successful"]
        counts = counts.reset_index().sort_values(["all", "uid"], ascending=[False, True])[:20]
        uids = [str(uid) for uid in counts.uid]
        return [bars(name, uids, counts[name] / self.duration * 60) for name in ["all", "successful"]]

    def calls_by_uid(self):
        uids = [str(uid) for uid in self.uids]
        return [
            bars(name, uids, calls.groupby("uid").size().reindex(self.uids, fill_value=0))
            for name, calls in [("all", self.calls), ("successful", self.successes)]
        ]

    def trust(self):
        last = self.epochs[self.epochs.epoch == self.epochs.epoch.max()].sort_values("uid")
        uids = [str(uid) for uid in last.uid]
        return [bars("trust", uids, last.trust), bars("validator trust", uids, last.validator_trust)]

    def averages(self, name, groups):
        means = groups.mean().dropna()
        return [bars(name, [str(uid) for uid in means.index], means, half_widths=half_widths(groups)[means.index])]

    def plots(self):
        rewards = self.rewards.rename(columns={"number": "at", "reward": "value"})
        weights = self.weights.rename(columns={"step": "at", "weight": "value"})
        weights["value"] = weights["value"].astype(float)
        incentives = self.epochs[(self.epochs.incentive > 0) | (self.epochs.dividends == 0)]
        incentives = incentives.rename(columns={"epoch": "at", "incentive": "value"})
        scores = self.long_scores(self.scores)
        of_consensus = self.epochs[self.epochs.kind == "miner"]
        of_consensus = of_consensus.rename(columns={"epoch": "at", "consensus": "value"})
        scores["fifth"] = self.events.fifth.loc[scores.position].values
        scored = sorted(set(scores.uid))
        losses = self.losses[self.losses.purpose == "query"]
        losses = losses.assign(loss=losses.loss.astype(float)).groupby(["forward_index", "step"]).loss.mean()
        norms = self.parameters[self.parameters.purpose == "query"]
        norms = norms.assign(
            number=norms.step * self.per_step + norms.forward_index, norm=norms.gradient_norm.astype(float)
        )
        norms = norms.groupby(["parameter", "number"]).norm.mean()
        cost = pandas.DataFrame(
            {"x": self.successes.groupby("uid")["size"].mean(), "y": self.rewards.groupby("uid").reward.mean()}
        )
        miners = self.epochs[self.epochs.kind == "miner"]
        paid = pandas.DataFrame({"y": miners.groupby("uid").for_incentive.mean()})
        paid["x"] = self.calls.groupby("uid").size().reindex(paid.index, fill_value=0)
        correlation, auc = self.agreement()
        alike, first = self.equals()
        mean_scores = scores.groupby("uid").value
        path_by_phase, path_by_uid = self.critical_paths()
        return {
            "pay_by_label": self.lines_by_label("miner", "for_incentive"),
            "incentive_by_label": self.lines_by_label("miner", "incentive"),
            "dividends_by_label": self.lines_by_label("validator", "for_dividends"),
            "validator_trust_by_label": self.lines_by_label("validator", "validator_trust"),
            "gating_loss": [line("question", losses[0]), line("completion", losses[1])],
            "gradient_norms": [line(name, norms[name]) for name in sorted(set(norms.index.get_level_values(0)))],
            "correlation": correlation,
            "auc": auc,
            "rewards_by_uid": self.heat(rewards, self.uids),
            "smoothed_rewards_by_uid": self.heat(self.smoothed_rewards(), self.uids, filled=True),
            "average_reward": self.averages("mean reward", self.rewards.groupby("uid").reward),
            "reward_histogram": self.histogram(self.rewards.groupby("uid").reward.mean()),
            "reward_histogram_by_fifth": self.histograms(rewards.groupby(["uid", "fifth"]).value.mean().unstack()),
            "reward_lines": self.reward_lines(),
            "reward_against_cost": self.points(cost),
            "scores_by_label": self.scores_by_label(),
            "scores_by_uid": self.heat(scores, scored),
            "smoothed_scores_by_uid": self.heat(self.long_scores(self.for_each_validator(self.scores, lambda part: part.ewm(alpha=0.1).mean())), scored),
            "average_score": self.averages("mean score", mean_scores),
            "score_histogram": self.histogram(mean_scores.mean()),
            "score_histogram_by_fifth": self.histograms(scores.groupby(["uid", "fifth"]).value.mean().unstack()),
            "calls_by_uid": self.calls_by_uid(),
            "outcomes_by_uid": self.outcomes(),
            "call_rates": self.call_rates(),
            "call_time": self.call_time(),
            "throughput": self.throughput(),
            "critical_path_by_phase": path_by_phase,
            "critical_path_by_uid": path_by_uid,
            "weights_by_uid": self.heat(weights, self.uids, closed=True),
            "incentive_by_uid": self.heat(incentives, sorted(set(incentives.uid)), closed=True, capacity=100),
            "consensus_by_uid": self.heat(of_consensus, sorted(set(of_consensus.uid)), closed=True, capacity=100),
            "gini_over_time": [line("Gini coefficient", miners.groupby("epoch").for_incentive.apply(gini))],
            "trust_by_uid": self.trust(),
            "dividends_by_validator": self.by_validator("for_dividends"),
            "validator_trust_by_validator": self.by_validator("validator_trust"),
            "pay_against_calls": self.points(paid),
            "answers_alike": alike,
            "first_of_equals": first,
            "message_rates": self.message_rates(),
            "shared_completions": self.shared_completions(),
        }


def over_runs(runs, kind, column):
    traces = []
    means = pandas.concat([run.by_label(kind, column).rename(seed) for seed, run in enumerate(runs)], axis=1)
    half = stats.t.ppf(0.975, means.count(axis=1) - 1) * means.sem(axis=1)
    for label in sorted(set(means.index.get_level_values(0))):
        mean = means.loc[label].mean(axis=1)
        band = {"low": mean - half[label], "high": mean + half[label]}
        traces += [{"kind": "band", "name": label, "x": mean.index, **band}, line(label, mean)]
    return traces


def group_plots(runs, seeds):
    names = [str(seed) for seed in seeds]
    rewards = []
    for run in runs:
        means = run.rewards.groupby("uid").reward.mean()
        rewards.append(means.groupby([run.label(uid)[1] for uid in means.index]).mean())
    rewards = pandas.concat(rewards, axis=1)
    half = stats.t.ppf(0.975, rewards.count(axis=1) - 1) * rewards.sem(axis=1)
    paid = []
    for run in runs:
        miners = run.epochs[run.epochs.kind == "miner"]
        paid.append((miners.server_emission + miners.validator_emission).groupby(miners.uid).sum())
    return {
        "pay_by_label": over_runs(runs, "miner", "for_incentive"),
        "incentive_by_label": over_runs(runs, "miner", "incentive"),
        "dividends_by_label": over_runs(runs, "validator", "for_dividends"),
        "validator_trust_by_label": over_runs(runs, "validator", "validator_trust"),
        "average_reward_by_label": [bars("mean reward", rewards.index, rewards.mean(axis=1), half_widths=half)],
        "gini_by_run": [bars("Gini coefficient", names, [gini(amounts) for amounts in paid])],
        "nakamoto_by_run": [bars("Nakamoto coefficient", names, [nakamoto(amounts) for amounts in paid])],
    }
