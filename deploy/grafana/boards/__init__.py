"""All dashboards."""

from deploy.grafana.boards import engine, models, queue, service, stage_b, training

BOARDS = (service.BOARD, stage_b.BOARD, queue.BOARD, engine.BOARD, models.BOARD, training.BOARD)
