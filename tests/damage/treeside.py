"""What the file sides with a tree keep of nonlinear areas."""
from damage import case


@case("NL1", "anonmm", "anon_vma")
def area_off_the_nonlinear_list(p):
    """It is alone now, and so are the others, which nothing leads to."""
    first = int(p.nonlinear_oldest[4])
    p.nonlinear_links["next"][first] = p.nonlinear_links["prev"][first] = first


@case("NL1", "anonmm", "anon_vma")
def list_of_another_file(p):
    p.nonlinear_oldest[3] = p.nonlinear_oldest[4]


@case("NL2", "anonmm", "anon_vma")
def nonlinear_list_that_does_not_lead_back(p):
    first = int(p.nonlinear_oldest[4])
    p.nonlinear_links["prev"][p.nonlinear_links["next"][first]] = 0


@case("NL2", "anonmm", "anon_vma")
def wrong_end_of_the_nonlinear_list(p):
    first = int(p.nonlinear_oldest[4])
    p.nonlinear_links["prev"][first] = first


@case("NL2", "anonmm", "anon_vma")
def nonlinear_list_with_an_end(p):
    first = int(p.nonlinear_oldest[4])
    p.nonlinear_links["next"][p.nonlinear_links["prev"][first]] = 0
