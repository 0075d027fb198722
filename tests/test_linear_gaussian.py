"""The model with exact answers, held to Bayes' rule: p(x) q(z) = p(x, z) for every z."""

import torch
from linear_gaussian import LinearGaussian, LinearGuide, draw_images, exact_evidence
from pyro import poutine


def test_evidence_and_posterior_agree_for_every_z():
    model = LinearGaussian()
    guide, images = LinearGuide(model), draw_images(model, 5)
    drawn = poutine.trace(guide).get_trace(images)
    joint = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(images)
    drawn.compute_log_prob()
    joint.compute_log_prob()
    log_joint = joint.nodes["z.0"]["log_prob"] + joint.nodes["image"]["log_prob"]
    torch.testing.assert_close(exact_evidence(model, images) + drawn.nodes["z.0"]["log_prob"], log_joint)


def test_a_shifted_and_stretched_guide_is_not_exact():
    model = LinearGaussian()
    images = draw_images(model, 5)
    exact, other = LinearGuide(model), LinearGuide(model, shift=0.3, stretch=1.5)
    fns = [poutine.trace(guide).get_trace(images).nodes["z.0"]["fn"] for guide in (exact, other)]
    torch.testing.assert_close(fns[1].mean, fns[0].mean + 0.3)
    torch.testing.assert_close(fns[1].stddev, fns[0].stddev * 1.5)
