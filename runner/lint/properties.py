"""What the contexts with a fixed shape contain."""

from collections.abc import Mapping

_GITHUB = """
    action action_path action_ref action_repository action_status actor actor_id api_url
    artifact_cache_size_limit base_ref env event event_name event_path graphql_url head_ref job
    job_workflow_sha output path ref ref_name ref_protected ref_type repository repository_id
    repository_owner repository_owner_id repository_visibility repositoryurl retention_days run_id
    run_attempt run_number secret_source server_url sha state step_summary token triggering_actor
    workflow workflow_ref workflow_sha workspace
"""
_JOB = """
    check_run_id container services status workflow_file_path workflow_ref workflow_repository
    workflow_sha
"""
_RUNNER = "arch debug environment name os temp tool_cache workspace"
_STRATEGY = "fail-fast job-index job-total max-parallel"

#: Context -> the properties that it has, in lower case.
PROPERTIES: Mapping[str, frozenset[str]] = {
    "github": frozenset(_GITHUB.split()),
    "deploy": frozenset({"version"}),
    "environment": frozenset({"name", "url"}),
    "job": frozenset(_JOB.split()),
    "runner": frozenset(_RUNNER.split()),
    "strategy": frozenset(_STRATEGY.split()),
}

NEED = ("result", "outputs")
STEP = ("outputs", "outcome", "conclusion")
