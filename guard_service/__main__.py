"""The `guard` command."""

import sys


def main() -> None:
    try:
        from guard_service.cli import main as run
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("guard_service"):
            raise
        sys.exit(f"guard needs {error.name}: pip install 'guard-service[serve]'")
    run()


if __name__ == "__main__":
    main()
