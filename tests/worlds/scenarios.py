"""The small worlds: what people do in each, step by step."""

from __future__ import annotations

from tests.reconcilers.objects import s3
from tests.worlds import people as p
from tests.worlds.people import Step
from tests.worlds.world import Scenario

ELSEWHERE = s3("elsewhere/${TARGET_NAMESPACE}/${TARGET_KIND}/${TARGET_NAME}")
PVC, DEPLOYMENT = "PersistentVolumeClaim", "Deployment"

_BLUEPRINT = p.create_blueprint()

LATECOMER = Scenario(
    "latecomer",
    (Step("deployment", p.create(DEPLOYMENT)), Step("volume", p.create(PVC), after=66.0)),
    before=(p.create_blueprint(backend=s3("shared")),),
)
"""Two targets for one location, the second more than a minute after the first."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "create",
            (
                Step("blueprint", _BLUEPRINT, after=3.0),
                Step("deployment", p.create(DEPLOYMENT)),
                Step("volume", p.create(PVC)),
            ),
        ),
        Scenario(
            "edit blueprint",
            (
                Step("schedule", p.respec(schedule="@daily")),
                Step("backend", p.respec(backend=ELSEWHERE), once=p.has_repository("pvc-shop")),
            ),
            before=(_BLUEPRINT, p.create(DEPLOYMENT), p.create(PVC)),
        ),
        Scenario(
            "edit annotation",
            (
                Step("schedule", p.annotate(DEPLOYMENT, schedule="@hourly")),
                Step("mount", p.remount("/srv/other")),
                Step("scale", p.scale(3)),
                Step("no schedule", p.annotate(DEPLOYMENT, schedule=None)),
            ),
            before=(_BLUEPRINT, p.create(DEPLOYMENT)),
        ),
        Scenario(
            "opt out and return",
            (
                Step("opt out", p.annotate(PVC, blueprint=None), once=p.has_configuration("pvc-shop")),
                Step("return", p.annotate(PVC, blueprint="nightly"), after=8.0),
            ),
            before=(_BLUEPRINT, p.create(PVC)),
        ),
        Scenario(
            "opt out and return at once",
            (
                Step("opt out", p.annotate(PVC, blueprint=None), once=p.has_configuration("pvc-shop")),
                Step("return", p.annotate(PVC, blueprint="nightly"), after=0.011),
            ),
            before=(_BLUEPRINT, p.create(PVC)),
        ),
        Scenario(
            "delete target",
            (
                Step("delete", p.delete(DEPLOYMENT), once=p.has_configuration("deploy-shop")),
                Step("delete", p.delete(PVC)),
                Step("again", p.create(PVC), after=0.02),
            ),
            before=(_BLUEPRINT, p.create(DEPLOYMENT), p.create(PVC)),
        ),
        Scenario(
            "delete blueprint",
            (
                Step("delete", p.delete_blueprint(), once=p.has_configuration("deploy-shop")),
                Step("scale", p.annotate(PVC, schedule="@hourly")),
                Step("again", p.create_blueprint(schedule="@weekly")),
            ),
            before=(_BLUEPRINT, p.create(DEPLOYMENT), p.create(PVC)),
        ),
        Scenario(
            "blueprint replaced at once",
            (
                Step("delete", p.delete_blueprint(), once=p.has_configuration("pvc-shop")),
                Step("again", p.create_blueprint(schedule="@weekly"), after=0.011),
                Step("another target", p.create(DEPLOYMENT), after=0.0),
            ),
            before=(_BLUEPRINT, p.create(PVC)),
        ),
        Scenario(
            "somebody has the name",
            (
                Step("target", p.create(PVC)),
                Step("the other one goes", p.delete_configuration("pvc-shop")),
                Step("opt out", p.annotate(PVC, blueprint=None), once=p.is_ours("pvc-shop")),
            ),
            before=(_BLUEPRINT, p.make_foreign("pvc-shop")),
        ),
        Scenario(
            "two blueprints",
            (
                Step("second", p.annotate(PVC, blueprint="nightly,hourly"), once=p.has_configuration("pvc-shop")),
                Step("edit", p.respec("hourly", schedule="*/30 * * * *"), once=p.has_configuration("pvc-shop-hourly")),
                Step("the second alone", p.annotate(PVC, blueprint="hourly")),
            ),
            before=(
                _BLUEPRINT,
                p.create_blueprint("hourly", schedule="@hourly", backend=s3("hourly/${TARGET_NAME}")),
                p.create(PVC),
            ),
        ),
        Scenario(
            "backend with snapshots",
            (
                Step("backup", p.back_up("pvc-shop"), once=p.has_repository("pvc-shop")),
                Step("backend", p.respec(backend=ELSEWHERE)),
                Step("back again", p.respec(backend=s3()), once=p.is_succeeded("pvc-shop")),
            ),
            before=(_BLUEPRINT, p.create(PVC)),
        ),
        Scenario(
            "one blueprint after the other",
            (
                Step("both", p.annotate(PVC, blueprint="nightly,hourly"), once=p.has_configuration("pvc-shop")),
                Step("the second alone", p.annotate(PVC, blueprint="hourly"), after=0.0),
                Step("none", p.annotate(PVC, blueprint=None), once=p.has_configuration("pvc-shop-hourly")),
            ),
            before=(_BLUEPRINT, p.create_blueprint("hourly", schedule="@hourly"), p.create(PVC)),
        ),
        Scenario(
            "two at once for one location",
            (
                Step("prefix", p.respec(backend=s3("shared")), once=p.has_repository("ds-shop")),
                Step("deployment", p.create(DEPLOYMENT), once=p.points("ds-shop", "shared")),
                Step("volume", p.create(PVC), after=0.0),
            ),
            before=(_BLUEPRINT, p.create("DaemonSet")),
            contested=True,
        ),
        Scenario(
            "one location for two",
            (
                Step("prefix", p.respec(backend=s3("shared")), once=p.has_repository("pvc-shop")),
                Step("deployment", p.create(DEPLOYMENT), once=p.points("pvc-shop", "shared")),
                Step("volume goes", p.delete(PVC)),
                Step("its repository", p.delete_repository("pvc-shop"), after=8.0),
            ),
            before=(_BLUEPRINT, p.create(PVC)),
        ),
        Scenario(
            "copied Secret",
            (
                Step("volume", p.create(PVC)),
                Step("rotation", p.rotate("c2Vjb25k"), once=p.has_configuration("pvc-shop")),
                Step("opt out", p.annotate(PVC, blueprint=None), once=p.has_copy("copied", "c2Vjb25k")),
                Step("return", p.annotate(PVC, blueprint="nightly"), after=8.0),
            ),
            before=(
                p.share_source,
                p.create_blueprint(
                    backend={**s3(), "storageSecretName": "copied"},
                    storageSecret={"source": {"namespace": "vault", "name": "bucket"}},
                ),
            ),
        ),
        Scenario(
            "a namespace asks",
            (
                Step("ask", p.ask("nightly")),
                Step("late volume", p.create(PVC, "late", None), once=p.has_configuration("pvc-shop")),
                Step("opt one out", p.annotate(PVC, blueprint="-"), once=p.has_configuration("pvc-late")),
                Step("no more", p.ask(None)),
            ),
            before=(_BLUEPRINT, p.create(PVC, "shop", None), p.create(PVC, "own"), p.create(DEPLOYMENT, "web", None)),
        ),
        Scenario(
            "a claim and its workload",
            (
                Step("ask", p.ask("nightly"), once=p.has_configuration("deploy-shop")),
                Step("workload opts out", p.annotate(DEPLOYMENT, blueprint="-"), after=9.0),
                Step("and in", p.annotate(DEPLOYMENT, blueprint="nightly"), once=p.has_configuration("pvc-data")),
            ),
            before=(_BLUEPRINT, p.create(DEPLOYMENT), p.create(PVC, "data", None)),
        ),
        Scenario(
            "denied and allowed",
            (
                Step("deny", p.label(), once=p.has_configuration("pvc-shop")),
                Step("edit", p.respec(schedule="@daily"), once=p.is_suspended("pvc-shop")),
                Step("allow", p.label(team="a")),
                Step("deny all", p.respec(allowedNamespaces={}), after=4.0),
                Step("and allow at once", p.respec(allowedNamespaces=None), after=0.011),
            ),
            before=(
                p.label(team="a"),
                p.create_blueprint(allowedNamespaces={"selector": {"matchLabels": {"team": "a"}}}),
                p.create(PVC),
                p.create(DEPLOYMENT),
            ),
        ),
        Scenario(
            "somebody meddles",
            (
                Step("edit", p.meddle("pvc-shop"), once=p.has_configuration("pvc-shop")),
                Step("delete", p.delete_configuration("pvc-shop")),
                Step("delete", p.delete_repository("pvc-shop")),
            ),
            before=(_BLUEPRINT, p.create(PVC)),
        ),
    )
}
