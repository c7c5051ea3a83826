"""Recipe of the fracture classifier: synthetic osteoporotic and malignant fractures.

No real labelled fracture is to be had, so this network is for demonstration.

    write_crops(work / "crops", range(160))                      # phantoms.py
    fit(network(), partial(draw_batches, work / "crops", 1, True), loss, …)   # learning.py
    publish_classifier(work / "classifier.pt", work / "crops", out)   # calibration.py, shipping.py
    classifier_report(out, work / "crops", work / "classifier.pt")    # report.py
"""

from models.recipes.classifier.calibration import calibrate, kept
from models.recipes.classifier.learning import RATE, draw_batches, loss, network
from models.recipes.classifier.phantoms import write_crops
from models.recipes.classifier.report import classifier_report
from models.recipes.classifier.shipping import publish_classifier

__all__ = [
    "RATE",
    "calibrate",
    "classifier_report",
    "draw_batches",
    "kept",
    "loss",
    "network",
    "publish_classifier",
    "write_crops",
]
