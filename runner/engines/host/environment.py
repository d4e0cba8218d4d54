"""The environment that steps on this machine start from."""

from collections.abc import Mapping

#: What Pipe, or a runner that Pipe itself runs in, is told; a step is told its own.
_OURS = ("PIPE_", "GITHUB_", "RUNNER_", "ACTIONS_")
#: git names its own repository so, as to a hook; a step's git would work on that one.
_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's own variables out of `environment`."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_OURS) and name not in _REPOSITORY
    }
