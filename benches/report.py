"""Computes with pandas the statistics of the report that need no model and no estimator. Usage: report.py RUN"""

import sys

import numpy as np
import pandas as pd

run = sys.argv[1]
events = pd.read_parquet(
    f"{run}/events.parquet",
    columns=["step", "forward_index", "message", "scores", "best_uid", "started_at", "call_time"],
)
calls = pd.read_parquet(
    f"{run}/responses.parquet",
    columns=["step", "forward_index", "uid", "outcome", "latency", "size", "completion", "reward"],
)
epochs = pd.read_parquet(f"{run}/epochs.parquet")
weights = pd.read_parquet(f"{run}/weights.parquet")
losses = pd.read_parquet(f"{run}/losses.parquet")

number = calls["step"] * 2 + calls["forward_index"]
bins = number // max(1, len(events) // 500)

# Calls, outcomes, rewards by uid with interval, over time, smoothed, by fifths.
outcomes = calls.groupby(["uid", "outcome"]).size().unstack(fill_value=0)
rewards = calls.groupby("uid")["reward"].agg(["mean", "std", "count"])
over_time = calls.groupby(["uid", bins])["reward"].mean().unstack()
by_fifth = calls.groupby(["uid", number * 5 // len(events)])["reward"].mean().unstack()
table = calls.assign(number=number).pivot_table(index="number", columns="uid", values="reward")
smoothed = table.ewm(alpha=0.1).mean()
latency = calls.groupby("uid")["latency"].mean()
sizes = calls[calls["outcome"] == "success"].groupby("uid")["size"].mean()

# Scores by uid, over time, smoothed, by fifths.
scores = np.stack(events["scores"].to_numpy())
frame = pd.DataFrame(scores)
score_means = frame.agg(["mean", "std"])
score_bins = frame.groupby(np.arange(len(frame)) // max(1, len(events) // 500)).mean()
score_smoothed = frame.ewm(alpha=0.1).mean()
score_fifths = frame.groupby(np.arange(len(frame)) * 5 // len(events)).mean()

# Correlation of scores with rewards in each event, Pearson and Spearman, rolling mean over ten events.
row = dict(zip(zip(events["step"], events["forward_index"]), range(len(events))))
index = (calls["step"] * 2 + calls["forward_index"]).to_numpy()
paired = calls.assign(event=index, score=scores[index, calls["uid"].to_numpy()]).dropna(subset=["reward"])


def by_event(one, other):
    groups = paired["event"]
    one, other = paired[one], paired[other]
    n = one.groupby(groups).transform("size")
    a = one - one.groupby(groups).transform("mean")
    b = other - other.groupby(groups).transform("mean")
    covariance = (a * b).groupby(groups).sum()
    return covariance / np.sqrt((a * a).groupby(groups).sum() * (b * b).groupby(groups).sum())


pearson = by_event("score", "reward").rolling(10).mean()
paired["score_rank"] = paired.groupby("event")["score"].rank()
paired["reward_rank"] = paired.groupby("event")["reward"].rank()
spearman = by_event("score_rank", "reward_rank").rolling(10).mean()

# Call time by step, throughput, frequent prompts and completions, their rates, shared completions.
call_time = events.groupby(events["step"] // max(1, len(events) // 4000))["call_time"].agg(["mean", "min", "max"])
second = (events["started_at"] - events["started_at"].iloc[0]).astype(int)
throughput = second.value_counts()
prompts = events["message"].value_counts().head(20)
succeeded = calls[calls["outcome"] == "success"]
completions = succeeded.groupby("completion")["reward"].agg(["size", "mean"]).nlargest(20, "size")
rates = succeeded[succeeded["completion"].isin(completions.index)]
rates = rates.groupby(["completion", "step"]).size()
by_uid = succeeded.groupby(["uid", "completion"]).size()
top = by_uid.groupby(level=0, group_keys=False).nlargest(500)

# Equal completions within an event: pairs of uids, and which was faster.
equal = succeeded.assign(event=index[succeeded.index])[["event", "uid", "completion", "latency"]]
equal = equal[equal.duplicated(["event", "completion"], keep=False)]
pairs = equal.merge(equal, on=["event", "completion"])
alike = pairs.groupby(["uid_x", "uid_y"]).size()
first = pairs[pairs["latency_x"] < pairs["latency_y"]].groupby(["uid_x", "uid_y"]).size()

# Weights, epochs, losses.
weights_over_time = weights.groupby(["uid", "step"])["weight"].mean().unstack()
paid = epochs.groupby(["uid", "epoch"])["server_emission"].mean().unstack()
loss = losses.groupby(["forward_index", "step"])["loss"].mean().unstack(0)

# Features of the prompts and of the best completions.
words = events["message"].str.split()
features = pd.DataFrame(
    {
        "question_length": events["message"].str.len(),
        "num_words": words.str.len(),
        "avg_word_length": events["message"].str.len() / words.str.len(),
        "median_word_length": words.map(lambda texts: np.median([len(text) for text in texts])),
    }
)
