"""The rules that manifests are held to, beyond what their schemas say.

Each takes a rendering, the variables that the binaries know and the text of README.md beside the manifests, and returns
what is wrong, one sentence each. breaches.py has at least one breach of every rule.
"""

from rules.configuration import variables_are_known, files_are_mounted, secrets_are_only_referred_to
from rules.containers import (
    containers_have_no_rights,
    containers_are_bounded,
    images_have_versions,
    containers_are_asked_how_they_are,
)
from rules.monitoring import monitors_get_to_what_they_scrape
from rules.network import network_is_closed
from rules.rabbitmq import rabbitmq_is_a_quorum
from rules.references import references_lead_somewhere, namespace_is_restricted
from rules.scaling import workers_and_ingests_scale, triggers_fit_the_settings
from rules.stopping import pods_have_time_to_stop

ALL = [
    containers_have_no_rights,
    containers_are_bounded,
    images_have_versions,
    containers_are_asked_how_they_are,
    variables_are_known,
    files_are_mounted,
    secrets_are_only_referred_to,
    pods_have_time_to_stop,
    workers_and_ingests_scale,
    triggers_fit_the_settings,
    references_lead_somewhere,
    namespace_is_restricted,
    network_is_closed,
    monitors_get_to_what_they_scrape,
    rabbitmq_is_a_quorum,
]
