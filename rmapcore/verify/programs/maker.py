"""What every maker of random programs does: it chooses a process and an action, again and again, and keeps their models.

What an action is, and what a step looks like, is a subclass's.
"""


class Maker:
    """weights: action -> how often. Each do_X appends steps, or none if nothing there fits.

    most: how many processes may live at once.  models: one for each process ever born.  model: of the process chosen.
    """

    def __init__(self, rng, weights, most):
        self.rng, self.weights, self.most = rng, weights, most
        self.steps, self.models, self.living = [], [], []
        self.process = self.model = None

    def run(self, n):
        """n steps, or a few more."""
        names, weights = list(self.weights), list(self.weights.values())
        self.begin()
        while len(self.steps) < n:
            self.prepare()
            self.turn_to(self.rng.choice(self.living))
            getattr(self, "do_" + self.instead_of(self.rng.choices(names, weights)[0]))()
        return self.steps

    def begin(self):
        """Steps before the first action."""

    def prepare(self):
        """Steps that are due before the next action."""

    def instead_of(self, name):
        """The action to take; another one if this would be of no use."""
        return name

    # --- processes --------------------------------------------------------------------------------------------------

    def turn_to(self, process):
        self.process, self.model = process, self.models[process]

    def born(self, model):
        """The number of a new process."""
        self.models.append(model)
        self.living.append(len(self.models) - 1)
        return self.living[-1]

    def ended(self):
        """The process chosen is no more."""
        self.living.remove(self.process)
