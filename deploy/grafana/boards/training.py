"""Progress of training runs (`vqc-train exporter`)."""

from deploy.grafana.panels import Board, Chart, Choice, Query, Unit

ONE = '{run=~"$run"}'


def _line(title: str, text: str, metric: str, unit: Unit = "short") -> Chart:
    return Chart(title=title, text=text, unit=unit, queries=[Query(expr=f"{metric}{ONE}", legend="{{run}}")])


BOARD = Board(
    uid="vqc-training",
    title="VQC training",
    choices=[Choice(name="run", metric="vqc_train_step", label="run")],
    rows=[
        (
            "Runs",
            [
                Chart(
                    title="Progress",
                    text="Share of the planned optimizer steps.",
                    unit="percentunit",
                    kind="value",
                    width=12,
                    queries=[Query(expr=f"vqc_train_step{ONE} / vqc_train_steps{ONE}", legend="{{run}}")],
                ),
                Chart(
                    title="Time since the last log line",
                    text="A run that has ended logs no more.",
                    unit="s",
                    kind="value",
                    width=12,
                    queries=[Query(expr=f"vqc_train_silence_seconds{ONE}", legend="{{run}}")],
                ),
                _line("Loss", "Mean over the last logged steps.", "vqc_train_loss"),
                _line("Validation loss", "On the held-out records.", "vqc_train_eval_loss"),
                _line("Token accuracy", "Share of the target tokens.", "vqc_train_token_accuracy_ratio", "percentunit"),
                _line("Gradient norm", "Before clipping.", "vqc_train_gradient_norm"),
                _line("Learning rate", "The highest of any tower.", "vqc_train_learning_rate", "none"),
                _line("Samples a second", "All ranks.", "vqc_train_samples_per_second"),
                _line("Tokens a second", "All ranks.", "vqc_train_tokens_per_second"),
                _line("Ended", "1 once a run has completed.", "vqc_train_finished", "none"),
            ],
        ),
    ],
)
