"""The PyTorch part of the benchmark `models`: the same models in eager mode, on one thread, without Hugging Face code.
Reads one task per line from standard input (a name and integers), and prints the seconds it took."""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)


class SequentialGatingModel(nn.Module):
    """A constant embedding, one LSTM layer, and a linear map to scores."""

    def __init__(self, vocabulary, embedding, hidden, uids):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.embedding.weight.requires_grad_(False)
        self.lstm = nn.LSTM(embedding, hidden)
        self.linear = nn.Linear(hidden, uids)

    def forward(self, tokens):
        states, _ = self.lstm(self.embedding(tokens).unsqueeze(1))
        return self.linear(states[-1, 0])


def gating(uids, tokens, steps):
    """Times training steps: scores, loss of ten answers, gradients, SGD with momentum."""
    model = SequentialGatingModel(400, 64, 32, uids)
    optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.01, momentum=0.9)
    tokens = torch.randint(400, (tokens,))
    asked = torch.arange(10)
    rewards = torch.arange(10) / 10

    def step():
        optimizer.zero_grad()
        scores = model(tokens)
        loss = F.mse_loss(scores[asked].softmax(0), rewards.softmax(0))
        loss.backward()
        optimizer.step()
        return loss.item()

    return timed(step, steps)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, states):
        batch, positions, width = states.shape
        parts = self.attention(self.ln_1(states)).split(width, 2)
        query, key, value = (part.view(batch, positions, self.heads, -1).transpose(1, 2) for part in parts)
        gathered = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + self.output(gathered.transpose(1, 2).reshape(batch, positions, width))
        return states + self.down(F.gelu(self.up(self.ln_2(states)), approximate="tanh"))


class Gpt2(nn.Module):
    """GPT-2 small with a value head."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(50257, 768), nn.Embedding(1024, 768)
        self.blocks = nn.ModuleList(Block(768, 12) for _ in range(12))
        self.last_norm = nn.LayerNorm(768)
        self.v_head = nn.Linear(768, 1, bias=False)

    def forward(self, tokens):
        states = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            states = block(states)
        return self.v_head(self.last_norm(states[:, -1]))


gpt2 = None


def reward(completions, tokens, calls):
    """Times the rewards of the completions of a call, computed in one batch."""
    global gpt2
    gpt2 = gpt2 or Gpt2().eval()
    batch = torch.randint(50257, (completions, tokens))

    def judge():
        with torch.no_grad():
            return gpt2(batch).tolist()

    return timed(judge, calls)


def timed(piece, times):
    piece()
    began = time.perf_counter()
    for _ in range(times):
        piece()
    return time.perf_counter() - began


TASKS = {"gating": gating, "reward": reward}

print(torch.__version__.split("+")[0], flush=True)
for line in sys.stdin:
    name, *numbers = line.split()
    print(TASKS[name](*map(int, numbers)), flush=True)
