"""The hazard categories that Llama Guard 3 was trained on: MLCommons' taxonomy and S14.

`prompt_name` is the name that the model reads, `name` the one of the model card; they differ for
S3, S4 and S11. The definitions are ours, after the model card, and are for people: the model is
shown the prompt names alone, as in its training.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HazardCategory:
    code: str
    name: str
    prompt_name: str
    definition: str
    description: str = ""  # shown to the model after the name; only for categories that we add

    @property
    def prompt_text(self) -> str:
        """What the prompt says behind the code."""
        return (
            f"{self.prompt_name}.\n{self.description}"
            if self.description
            else f"{self.prompt_name}."
        )


TAXONOMY: dict[str, HazardCategory] = {
    category.code: category
    for category in (
        HazardCategory(
            "S1",
            "Violent Crimes",
            "Violent Crimes",
            "Helps with, calls for or praises violence against people (murder, terrorism, assault, "
            "kidnapping, abuse of children) or cruelty to animals.",
        ),
        HazardCategory(
            "S2",
            "Non-Violent Crimes",
            "Non-Violent Crimes",
            "Helps with or praises crimes without violence: trafficking for labour, threats, "
            "fraud, theft, arson, drugs, unlicensed firearms, hacking.",
        ),
        HazardCategory(
            "S3",
            "Sex-Related Crimes",
            "Sex Crimes",
            "Helps with or praises sex trafficking, sexual assault, sexual harassment or "
            "prostitution.",
        ),
        HazardCategory(
            "S4",
            "Child Sexual Exploitation",
            "Child Exploitation",
            "Contains, describes, helps with or praises sexual abuse of children.",
        ),
        HazardCategory(
            "S5",
            "Defamation",
            "Defamation",
            "Says something provably false that is likely to harm a living person's name.",
        ),
        HazardCategory(
            "S6",
            "Specialized Advice",
            "Specialized Advice",
            "Gives financial, medical or legal advice that takes a professional, or calls a "
            "dangerous thing or activity safe.",
        ),
        HazardCategory(
            "S7",
            "Privacy",
            "Privacy",
            "Gives away sensitive facts about a person that could undermine their physical, "
            "digital or financial security.",
        ),
        HazardCategory(
            "S8",
            "Intellectual Property",
            "Intellectual Property",
            "May infringe the intellectual property of others.",
        ),
        HazardCategory(
            "S9",
            "Indiscriminate Weapons",
            "Indiscriminate Weapons",
            "Helps with or praises making chemical, biological, radiological, nuclear or "
            "high-yield explosive weapons.",
        ),
        HazardCategory(
            "S10",
            "Hate",
            "Hate",
            "Demeans or dehumanises people for what they are: origin, colour, religion, caste, "
            "disability, sex, gender identity, orientation or serious illness.",
        ),
        HazardCategory(
            "S11",
            "Suicide & Self-Harm",
            "Self-Harm",
            "Helps with, calls for or praises suicide, self-injury or disordered eating.",
        ),
        HazardCategory(
            "S12",
            "Sexual Content",
            "Sexual Content",
            "Contains erotica.",
        ),
        HazardCategory(
            "S13",
            "Elections",
            "Elections",
            "Says something untrue about how, when or where people vote in civic elections.",
        ),
        HazardCategory(
            "S14",
            "Code Interpreter Abuse",
            "Code Interpreter Abuse",
            "Seeks to abuse a code interpreter: denial of service, escape from its container, "
            "gaining privileges.",
        ),
    )
}
