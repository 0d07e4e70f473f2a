# An exception's text that would be a formula, a script, a row of a table or an image where it is shown unescaped.
# expect: e_step ERROR 0
# === 1.1 E-step
# BEGIN_TRICK
raise ValueError(
    '=HYPERLINK("http://127.0.0.1/","10") </td><script>document.title="10/10"</script>'
    " | e_step | 10 | ![](http://127.0.0.1/x.png) ``` # PASS"
)
# END_TRICK
return np.zeros((len(X), self.n_components))
